import { describe, expect, test } from "bun:test";
import { builtinKinds } from "../../../src/channels/builtin.ts";
import { compileEnvelope } from "../../../src/channels/envelope.ts";
import { Kind } from "../../../src/channels/kind.ts";
import { resolveTarget } from "../../../src/channels/resolver.ts";
import { parsePath } from "../../../src/channels/path.ts";
import { Problem } from "../../../src/errors.ts";

const kinds = builtinKinds.map((kind) => new Kind(kind));

describe("a kind of channel", () => {
  test.each([
    ["ws_example_channel", "ws_example_channel"],
    ["0", "ws_example_user_channel_0"],
    ["42", "ws_example_user_channel_42"],
    ["rooms/lobby", "rooms:lobby"],
    ["rooms/a%3Ab", "rooms:a:b"],
    ["rooms/__proto__", "rooms:__proto__"],
  ])("calls %s %s", (path, channel) => {
    expect(resolveTarget(kinds, parsePath(path))?.channel).toBe(channel);
  });

  test.each(["00", "01", "-1", "+1", "1e3", "10000000000000000000", "١", "1%0A".replace("%0A", "x"), "rooms", "rooms/a/b"])(
    "does not know %s",
    (path) => {
      expect(resolveTarget(kinds, parsePath(path))).toBeUndefined();
    },
  );

  test("of two values never gives two paths one name", () => {
    const kind = new Kind({ path: "docs/{a}/{b}" });
    const names = [
      ["docs", "x:y", "z"],
      ["docs", "x", "y:z"],
      ["docs", "x%3Ay", "z"],
      ["docs", "x", "y%3Az"],
    ].map((segments) => kind.match(segments)?.channel);
    expect(names).toEqual(["docs:x%3Ay:z", "docs:x:y%3Az", "docs:x%253Ay:z", "docs:x:y%253Az"]);
  });

  test("never lets a value take the name of another kind's channel", () => {
    const kindsOf = (...settings: ConstructorParameters<typeof Kind>[0][]): Kind[] => settings.map((one) => new Kind(one));
    const names = (all: readonly Kind[], ...paths: string[]): (string | undefined)[] =>
      paths.map((path) => resolveTarget(all, path.split("/"))?.channel);
    const nested = kindsOf({ path: "rooms/{room}", access: "token" }, { path: "rooms/{room}/{topic}" }, { path: "{any}", publish: "key" });
    expect(names(nested, "rooms/a/b", "rooms/a:b", "rooms:a", "rooms:a:b")).toEqual(["rooms:a:b", undefined, undefined, undefined]);
    expect(names(nested, "rooms/a", "x:y", "rooms/a:b:c")).toEqual(["rooms:a", "x:y", "rooms:a:b:c"]);
    const alike = kindsOf({ path: "a/{x}", name: "n:{x}" }, { path: "b/{y}", name: "n:{y}", access: "open" });
    expect(names(alike, "a/p:q", "b/p:q")).toEqual(["n:p:q", "n:p:q"]);
    const inner = kindsOf({ path: "a/{x}", name: "n:{x}" }, { path: "b/{y}", name: "n:m:{y}", access: "token" });
    expect(names(inner, "a/m:q", "b/q:r", "a/m:q:r", "a/k:q")).toEqual([undefined, "n:m:q:r", undefined, "n:k:q"]);
    const named = kindsOf(
      { path: "private/{room}", name: "private-{room}", access: "token" },
      { path: "admin", name: "secret", publish: "key" },
      { path: "{any}" },
    );
    expect(names(named, "private-lobby", "secret", "private-", "other")).toEqual([undefined, undefined, "private-", "other"]);
    const typed = kindsOf({ path: "u/{id}", name: "u_{id}", params: { id: "integer" }, owner: "id" }, { path: "{any}" });
    expect(names(typed, "u_7", "u_x", "u_07")).toEqual([undefined, "u_x", "u_07"]);
    const crossed = kindsOf({ path: "a/{x}" }, { path: "b/{x}", name: "{x}:b", owner: "x" });
    expect(names(crossed, "a/u:b", "b/a:u", "b/z")).toEqual(["a:u:b", undefined, "z:b"]);
  });

  test("knows which names it could have made", () => {
    const [one, two] = [new Kind({ path: "rooms/{room}" }), new Kind({ path: "docs/{a}/{b}", params: { b: "integer" } })];
    expect(
      ["rooms:a", "rooms:a:b", "rooms:", "rooms:..", "rooms:\u{1}", `rooms:${"x".repeat(256)}`].map((name) => one.names(name)),
    ).toEqual([true, true, false, false, false, false]);
    expect(["docs:a:7", "docs:a%3Ab:7", "docs:a%41:7", "docs:a%:7", "docs:a:x", "docs:a:b:7"].map((name) => two.names(name))).toEqual([
      true,
      true,
      false,
      false,
      false,
      false,
    ]);
  });

  test("may call a channel as another does that treats clients alike", () => {
    const rooms = { path: "rooms/{room}" };
    const resolve = (alias: ConstructorParameters<typeof Kind>[0]) => resolveTarget([new Kind(rooms), new Kind(alias)], ["rooms", "lobby"]);
    expect(resolve({ path: "lobby", name: "rooms:lobby" })?.channel).toBe("rooms:lobby");
    for (const other of [{ access: "token" }, { publish: "key" }, { history: { size: 1, ttl: "1s" } }, { presence: true }] as const) {
      expect(resolve({ path: "lobby", name: "rooms:lobby", ...other })).toBeUndefined();
    }
  });

  test("keeps two values apart whatever stands between them", () => {
    for (const template of [
      "d-{a}-{b}",
      "{a}:{b}",
      "{a}_x:{b}",
      "{a}and{b}",
      "{a}测{b}",
      "x:{a}--{b}::{a}",
      "{a}%-{b}",
      "t{a}A2x{b}",
      "{a}%:{b}",
    ]) {
      const kind = new Kind({ path: "{a}/{b}", name: template });
      const values = [
        "x",
        "y",
        "-",
        "--",
        ":",
        "%",
        "%2D",
        "a",
        "an",
        "and",
        "测",
        "x-y",
        "x:y",
        "y_x",
        "%3A",
        "_",
        "25%y",
        "x%",
        "25y",
        "2x",
        "A",
        "%2",
        "a:b",
      ];
      const names = values.flatMap((a) => values.map((b) => kind.match([a, b])?.channel));
      expect([template, new Set(names).size]).toEqual([template, values.length ** 2]);
      for (const name of names) expect(kind.names(name ?? "")).toBe(true);
    }
  });

  test("matches an expression against the whole of a value", () => {
    const kind = new Kind({ path: "x/{a}", params: { a: "cat|dog" } });
    expect(["cat", "dog", "cats", "hotdog", "catdog"].map((value) => kind.match(["x", value])?.channel)).toEqual([
      "x:cat",
      "x:dog",
      undefined,
      undefined,
      undefined,
    ]);
  });

  test("that stands first wins", () => {
    const both = [new Kind({ path: "a/b", name: "first" }), new Kind({ path: "a/{x}", name: "second:{x}" })];
    expect(resolveTarget(both, ["a", "b"])?.channel).toBe("first");
    expect(resolveTarget(both, ["a", "c"])?.channel).toBe("second:c");
  });
});

describe("an envelope", () => {
  test("has each variable in its place, and nothing else is touched", () => {
    const wrapped = compileEnvelope('$5 {"d":$data,"again":$data,"s":$sender}$').wrap('$sender "$data"', "ann");
    expect(wrapped).toBe(String.raw`$5 {"d":"$sender \"$data\"","again":"$sender \"$data\"","s":"ann"}$`);
  });

  test.each(["", "{", "1,2", '"a" : 1', "nul", "[".repeat(100_000), "\u{feff}1", "{'a':1}"])("that asks for JSON refuses %p", (text) => {
    expect(() => compileEnvelope("[$json]").wrap(text, null)).toThrow(Problem);
  });
});
