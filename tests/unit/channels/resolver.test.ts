import { describe, expect, test } from "bun:test";
import { builtinKinds } from "../../../src/channels/builtin.ts";
import { kindFaults } from "../../../src/channels/kind-faults.ts";
import { Kind, type KindSettings, type Target } from "../../../src/channels/kind.ts";
import { Resolver } from "../../../src/channels/resolver.ts";
import { numbersFrom } from "../../support/random.ts";

const resolverOf = (...settings: readonly KindSettings[]): Resolver => new Resolver(settings.map((one) => new Kind(one)));
const rawPath = ({ segments }: Target): string => segments.map(encodeURIComponent).join("/");

describe("a channel's name", () => {
  test("leads to the kind, the values and the owner of its path", () => {
    const resolver = resolverOf({ path: "docs/{user}/{doc}", owner: "user" }, ...builtinKinds);
    expect(resolver.byName("docs:a%3Ab:c")).toMatchObject({
      kind: { path: "docs/{user}/{doc}" },
      segments: ["docs", "a:b", "c"],
      values: new Map([
        ["user", "a:b"],
        ["doc", "c"],
      ]),
      owner: "a:b",
    });
    expect(resolver.byName("ws_example_user_channel_7")).toEqual(resolver.byPath("7"));
    expect(resolver.byName("rooms:a:b")).toEqual(resolver.byPath("rooms/a:b"));
  });

  test.each(["", "rooms", "rooms:", "rooms:..", "rooms:\n", "ws_example_user_channel_x", "7", "lockstep", `rooms:${"x".repeat(256)}`])(
    "that no path leads to (%j) leads nowhere",
    (name) => {
      expect(resolverOf(...builtinKinds).byName(name)).toBeUndefined();
    },
  );

  test("that leaves out a value of the path leads nowhere: tokens name paths", () => {
    const resolver = resolverOf({ path: "view/{who}/{room}", name: "room-{room}" });
    expect([resolver.byPath("view/ann/a")?.channel, resolver.byName("room-a")]).toEqual(["room-a", undefined]);
  });

  test("of a path that an earlier kind takes for itself leads nowhere", () => {
    const resolver = resolverOf({ path: "{any}", name: "x:{any}" }, { path: "lobby", name: "hall" });
    expect([resolver.byName("hall"), resolver.byName("x:lobby")?.kind.path]).toEqual([undefined, "{any}"]);
  });

  test("that two kinds share has the rules of the kind that it belongs to", () => {
    const resolver = resolverOf({ path: "a/{x}", name: "n:{x}", access: "token" }, { path: "b/{y}", name: "n:{y}" });
    expect([resolver.byPath("b/p")?.kind.access, resolver.byName("n:p")?.kind.access]).toEqual(["open", "token"]);
  });
});

describe("paths and names", () => {
  const templates = ["{a}", "{a}/{b}", "rooms/{a}", "rooms/{a}/{b}", "rooms/lobby", "x/{a}", "{a}/x", "lobby"];
  const names = ["{a}", "rooms:{a}", "rooms:lobby", "n-{a}", "{a}:x", "{a}-{b}", "{b}:{a}", "n:{a}:{b}", "{a}%:{b}:{a}", "same"];
  const values = ["a", "b", "x", "lobby", "rooms", "7", "07", ":", "a:b", "rooms:a", "%", "%3A", "a-b", "-", "测", "é:x", "a/b", "x%2Dy"];

  function settingsFrom(below: (bound: number) => number): KindSettings {
    const pick = <T>(list: readonly T[]): T => list[below(list.length)] ?? pick(list);
    const settings: KindSettings = { path: pick(templates), access: pick(["open", "token"]), publish: pick(["open", "token", "key"]) };
    if (below(2) === 0) settings.name = pick(names);
    if (below(3) === 0) settings.params = { a: pick(["integer", "[a-z:]+"]) };
    if (below(4) === 0) settings.owner = pick(["a", "b"]);
    return kindFaults(settings).length === 0 ? settings : settingsFrom(below);
  }

  test.each([1, 2, 3, 4])("agree, whatever the kinds are (seed %d)", (seed) => {
    const below = numbersFrom(seed);
    let same = 0;
    for (let round = 0; round < 300; round += 1) {
      const settings = Array.from({ length: 1 + below(4) }, () => settingsFrom(below));
      const resolver = resolverOf(...settings);
      for (let count = 0; count < 30; count += 1) {
        const segments = Array.from({ length: 1 + below(3) }, () => values[below(values.length)] ?? "");
        const target = resolver.byPath(segments.map(encodeURIComponent).join("/"));
        const channel = target?.channel ?? segments.join(":");
        const named = resolver.byName(channel);
        // A name gives what one of its paths gives, and nothing else.
        if (named !== undefined) expect([channel, resolver.byPath(rawPath(named))]).toEqual([channel, { ...named, channel }]);
        if (target === undefined || settings.some((one) => one !== settings[0] && new Kind(one).names(channel))) continue;
        const isWhole = new Kind(settings[0] ?? { path: "" }).pathTo(channel) !== undefined;
        expect([settings, named]).toEqual([settings, isWhole ? target : undefined]);
        if (isWhole) same += 1;
      }
    }
    expect(same).toBeGreaterThan(100);
  });
});
