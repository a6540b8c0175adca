import { describe, expect, test } from "bun:test";
import { builtinKinds } from "../src/channels/builtin.ts";
import { compileEnvelope } from "../src/channels/envelope.ts";
import { Kind, resolveKind } from "../src/channels/kind.ts";
import { parsePath } from "../src/channels/path.ts";
import { Problem } from "../src/errors.ts";

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
    expect(resolveKind(kinds, parsePath(path))?.channel).toBe(channel);
  });

  test.each(["00", "01", "-1", "+1", "1e3", "10000000000000000000", "١", "1%0A".replace("%0A", "x"), "rooms", "rooms/a/b"])(
    "does not know %s",
    (path) => {
      expect(resolveKind(kinds, parsePath(path))).toBeUndefined();
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
    const nested = kindsOf(
      { path: "rooms/{room}" },
      { path: "rooms/{room}/{topic}" },
      { path: "{any}" },
      { path: "lobby", name: "rooms:lobby" },
    );
    const name = (all: readonly Kind[], ...segments: string[]): string | undefined => resolveKind(all, segments)?.channel;
    expect([name(nested, "rooms", "a", "b"), name(nested, "rooms", "a:b"), name(nested, "rooms:a"), name(nested, "rooms:a:b")]).toEqual([
      "rooms:a:b",
      undefined,
      undefined,
      undefined,
    ]);
    expect([name(nested, "rooms", "a"), name(nested, "x:y"), name(nested, "rooms", "a:b:c"), name(nested, "rooms", "lobby")]).toEqual([
      "rooms:a",
      "x:y",
      "rooms:a:b:c",
      "rooms:lobby",
    ]);
    const alike = kindsOf({ path: "a/{x}", name: "n:{x}" }, { path: "b/{y}", name: "n:{y}" });
    expect([name(alike, "a", "p:q"), name(alike, "b", "p:q")]).toEqual(["n:p:q", "n:p:q"]);
    const inner = kindsOf({ path: "a/{x}", name: "n:{x}" }, { path: "b/{y}", name: "n:m:{y}" });
    expect([name(inner, "a", "m:q"), name(inner, "b", "q:r"), name(inner, "a", "m:q:r"), name(inner, "a", "k:q")]).toEqual([
      undefined,
      "n:m:q:r",
      undefined,
      "n:k:q",
    ]);
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
    expect(resolveKind(both, ["a", "b"])?.channel).toBe("first");
    expect(resolveKind(both, ["a", "c"])?.channel).toBe("second:c");
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
