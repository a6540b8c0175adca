import { describe, expect, test } from "bun:test";
import { isToken } from "../../../client/index.ts";
import { parsePath } from "../../../src/channels/path.ts";
import { chinese } from "../../../console/text/chinese.ts";
import { parseChannelPath, quotePattern, showChannelPath } from "../../../console/net/channel-path.ts";
import { hexDump, showBytes, showPosition } from "../../../console/text/display.ts";
import { Entries, type Arrival } from "../../../console/channel/entries.ts";
import { prettyJson } from "../../../console/text/pretty-json.ts";
import { Rate } from "../../../console/channel/rate.ts";
import { reasonOf } from "../../../console/net/reason.ts";
import { Sent } from "../../../console/channel/sent.ts";
import { revealed, revealedText } from "../../../console/text/revealed.ts";
import { isSendable, readToken, trimToken } from "../../../console/net/token.ts";
import { english } from "../../../console/text/english.ts";
import { Pattern } from "../../../src/access/pattern.ts";
import { closings } from "../../../src/errors.ts";
import { tokenOf } from "../../support/tokens.ts";

describe("a channel's path", () => {
  test.each([
    ["rooms/lobby", "rooms/lobby", "rooms/lobby"],
    ["  /rooms/lobby ", "rooms/lobby", "rooms/lobby"],
    ["rooms/a b", "rooms/a%20b", "rooms/a b"],
    ["rooms/100%", "rooms/100%25", "rooms/100%25"],
    ["rooms/a%2Fb", "rooms/a%2Fb", "rooms/a%2Fb"],
    ["rooms/你好?#", "rooms/%E4%BD%A0%E5%A5%BD%3F%23", "rooms/你好?#"],
    ["rooms/a&b+c", "rooms/a%26b%2Bc", "rooms/a&b+c"],
    ["rooms/a\u202e\ufeffb", "rooms/a%E2%80%AE%EF%BB%BFb", "rooms/a%E2%80%AE%EF%BB%BFb"],
    ["rooms/%20", "rooms/%20", "rooms/%20"],
    ["ws://example.com:9001/ws/rooms/a?recent=5", "rooms/a", "rooms/a"],
    ["https://example.com/history/rooms/a", "rooms/a", "rooms/a"],
    ["/ws/rooms/a", "rooms/a", "rooms/a"],
    ["rooms/", "rooms/", "rooms/"],
  ])("%p goes out as %p, and is shown as %p", (typed, path, shown) => {
    expect(parseChannelPath(typed)).toBe(path);
    expect(showChannelPath(path)).toBe(shown);
    expect(parseChannelPath(shown)).toBe(path);
  });

  test.each(["", "  ", "/", ".", "rooms/..", "rooms/%2e%2E/x", "rooms/\ud800", "https://example.com/elsewhere"])("%p is none", (typed) => {
    expect(parseChannelPath(typed)).toBeUndefined();
  });

  test("in a shell's quotes it is a pattern for itself alone", () => {
    for (const typed of ["rooms/it's", "rooms/*", "**", "rooms/a b"]) {
      const path = parseChannelPath(typed) ?? "";
      const quoted = quotePattern(path);
      expect(quoted).toMatch(/^'[^']*'$/);
      const pattern = Pattern.parse(quoted.slice(1, -1));
      expect(pattern?.matches(parsePath(path))).toBe(true);
      expect(pattern?.matches(["rooms", "another"])).toBe(false);
    }
  });
});

describe("a close", () => {
  test("has its own words for each code that the server sends", () => {
    for (const code of Object.keys(closings)) {
      expect([code, reasonOf({ code: Number(code) }, "").word]).toEqual([code, expect.not.stringMatching("closed.other")]);
    }
    expect(reasonOf({ code: 1006 }, "").word).toBe("closed.lost");
    expect(reasonOf({ code: 4711, detail: "said" }, "")).toEqual({ word: "closed.other", code: 4711, detail: "said" });
    expect(reasonOf(undefined, "").word).toBe("closed.here");
  });

  test("gives back the message that caused it", () => {
    expect([1001, 1009, 3003, 1013].filter((code) => reasonOf({ code }, "").refusesSent)).toEqual([1009, 3003]);
  });
});

describe("a refusal", () => {
  const reason = (status: number | undefined, problem: string, token = ""): ReturnType<typeof reasonOf> =>
    reasonOf({ status, problem, detail: "said" }, token);

  test("for want of a token tells what is wrong with the token", () => {
    expect(reason(401, "unauthorized")).toEqual({ word: "refused.noToken", asksToken: true });
    expect(reason(401, "unauthorized", "a.b.c").word).toBe("refused.badToken");
    expect(reason(401, "unauthorized", "an API key").word).toBe("refused.notToken");
    expect(reason(401, "upgrade-required", "an API key").word).toBe("refused.notToken");
    expect(reason(431, "", "a.b.c")).toEqual({ word: "refused.longToken", asksToken: true });
    expect(reason(431, "").word).toBe("refused.other");
  });

  test("without an answer or a reason has words of its own", () => {
    expect(reason(undefined, "").word).toBe("refused.unreachable");
    expect(reason(undefined, "upgrade-required").word).toBe("refused.silent");
    expect(reason(502, "")).toEqual({ word: "refused.other", values: ["502"], detail: "said" });
  });
});

test("a position is shown with its offset whole", () => {
  expect(showPosition("k3j9-7")).toBe("k3j9-7");
  expect(showPosition("8069f4393ddd49d0b4023eba5e942b27-12345")).toBe("8069f4…-12345");
});

describe("the entries of a channel", () => {
  const arrival = (data: string | ArrayBuffer): { arrival: Arrival } => ({ arrival: { data, atMs: 0, position: null, own: false } });

  test("are the newest, by number", () => {
    const entries = new Entries(100, 1e9);
    for (let count = 1; count <= 1050; count += 1) entries.add(arrival(String(count)));
    expect([entries.size, entries.first, entries.next, entries.dropped]).toEqual([100, 951, 1051, 950]);
    const texts = entries.from(0, 3).map((entry) => ("arrival" in entry ? [entry.number, entry.arrival.data] : []));
    expect(texts).toEqual([
      [951, "951"],
      [952, "952"],
      [953, "953"],
    ]);
    expect(entries.from(1050, 10).length).toBe(1);
    expect(entries.from(1051, 10)).toEqual([]);
  });

  test("are bounded by what they take, and the newest stays however large", () => {
    const entries = new Entries(100, 1000);
    for (let count = 0; count < 10; count += 1) entries.add(arrival("x".repeat(100)));
    expect(entries.size).toBe(5);
    entries.add(arrival(new ArrayBuffer(5000)));
    expect([entries.size, entries.dropped]).toEqual([1, 10]);
    entries.clear();
    entries.add(arrival("after"));
    expect([entries.size, entries.first, entries.dropped]).toEqual([1, 12, 0]);
  });
});

describe("the rate", () => {
  test("is counted by the second, and old seconds go", () => {
    const rate = new Rate(6, 10_000);
    rate.count(10_100);
    rate.count(10_900);
    rate.count(12_000);
    expect(rate.counts(12_500)).toEqual([0, 0, 0, 2, 0, 1]);
    expect(rate.perSecond(13_000)).toBeCloseTo(3 / 5);
    expect(rate.counts(60_000)).toEqual([0, 0, 0, 0, 0, 0]);
  });

  test("goes on where the clock is set back", () => {
    const rate = new Rate(3, 10_000);
    rate.count(10_000);
    rate.count(5000);
    expect(rate.counts(6000)).toEqual([0, 2, 0]);
  });
});

describe("what was sent", () => {
  test("is confirmed by its echo, also out of an envelope, each by one", () => {
    const sent = new Sent();
    for (const text of ["a", "a", '{"n": 1}', "测试"]) sent.add(text, 0);
    expect(sent.takes("b")).toBe(false);
    expect(sent.takes("a")).toBe(true);
    expect(sent.takes('{"type": "user_event", "data": "测试"}')).toBe(true);
    expect(sent.takes('{"at": 5, "it": {"n": 1}}')).toBe(true);
    expect(sent.takes("a")).toBe(true);
    expect(sent.takes("a")).toBe(false);
  });

  test("is asked after once the connection is back, if it was sent shortly before the loss", () => {
    const sent = new Sent();
    sent.add("old", 0);
    sent.add("fresh", 20_000);
    sent.lost(21_000);
    sent.add("after", 90_000);
    expect(sent.takeDoubtful()).toEqual(["fresh"]);
    expect(sent.takeDoubtful()).toEqual([]);
    expect(sent.takes("after")).toBe(true);
    sent.lost(91_000);
    expect(sent.takeDoubtful()).toEqual([]);
  });

  test("and was not confirmed when its connection ended is not confirmed by an equal text that comes later", () => {
    const sent = new Sent();
    sent.add("dup", 0);
    sent.lost(100);
    expect(sent.takes("dup")).toBe(false);
    sent.add("dup", 200);
    expect(sent.takes("dup")).toBe(true);
    expect(sent.lastDoubtful).toBe("dup");
    expect(sent.takeDoubtful()).toEqual(["dup"]);
  });
});

describe("JSON set out", () => {
  const shown = (text: string): string | undefined =>
    prettyJson(text)
      ?.map((piece) => piece.text)
      .join("");

  test("keeps every token as it stood", () => {
    expect(shown('{"a":1.0,"id":12345678901234567890,"a":[],"b":{ },"c":["x\\"}",null,true,-1e5]}')).toBe(
      `{
  "a": 1.0,
  "id": 12345678901234567890,
  "a": [],
  "b": {},
  "c": [
    "x\\"}",
    null,
    true,
    -1e5
  ]
}`,
    );
  });

  test("is only for what is JSON and has parts", () => {
    for (const text of ["hello", "12", '"text"', "{", '{"a":1}x', "null", ""]) expect(prettyJson(text)).toBeUndefined();
  });

  test("names what is a key", () => {
    const kinds = prettyJson('{"k":"v","n":1,"w":true}')
      ?.filter(({ kind }) => kind !== "other")
      .map(({ kind, text }) => [kind, text]);
    expect(kinds).toEqual([
      ["key", '"k"'],
      ["string", '"v"'],
      ["key", '"n"'],
      ["number", "1"],
      ["key", '"w"'],
      ["word", "true"],
    ]);
  });

  test("does not grow without measure, however deep it goes", () => {
    const depth = 20_000;
    expect((shown("[".repeat(depth) + "]".repeat(depth)) ?? "").length).toBeLessThan(65_536 * 64);
  });
});

describe("signs that are not seen", () => {
  test("are shown as escapes, set off from what stands beside them", () => {
    expect(revealed("a\u202e\u200bb\u0000")).toEqual([
      { text: "a", escaped: false },
      { text: "\\u202e\\u200b", escaped: true },
      { text: "b", escaped: false },
      { text: "\\u0000", escaped: true },
    ]);
    expect(revealedText("\ufeff\u00ad\u0085\u{e0041}\u2066")).toBe("\\ufeff\\u00ad\\u0085\\u{e0041}\\u2066");
    expect(revealed("")).toEqual([]);
  });

  test("are neither tabs nor line breaks nor letters", () => {
    for (const text of ["a\tb\nc\r\nd", "测试 é 🎉", "\\u202e"]) expect(revealed(text)).toEqual([{ text, escaped: false }]);
    expect(revealedText("a\rb")).toBe("a\\u000db");
  });
});

test("bytes are shown with their offset and what of them is ASCII", () => {
  expect(hexDump(new TextEncoder().encode("hello, lockstep\n!"))).toBe(
    "000000  68 65 6c 6c 6f 2c 20 6c 6f 63 6b 73 74 65 70 0a  hello, lockstep.\n000010  21                                               !",
  );
  expect(hexDump(new Uint8Array())).toBe("");
  expect([0, 1023, 1024, 65_536, 5 * 1024 * 1024].map(showBytes)).toEqual(["0 B", "1023 B", "1.0 kB", "64.0 kB", "5.0 MB"]);
});

test("a token says whose it is and how long it is good, and an API key is none", async () => {
  const token = await tokenOf({ sub: "阿丽" });
  const says = readToken(token);
  expect(says?.sub).toBe("阿丽");
  expect(says?.expiresMs ?? 0).toBeGreaterThan(Date.now());
  expect(isToken(token)).toBe(true);
  for (const text of ["the-backend-s-key", "", "a b.c.d", "a.b"]) expect(isToken(text)).toBe(false);
  for (const text of ["x.y.z", "a.bnVsbA.c"]) expect(readToken(text)).toBeUndefined();
  expect(trimToken(` Bearer ${token}\n`)).toBe(token);
});

test("what no header can carry is no token to send, and an API key is one", async () => {
  for (const text of [await tokenOf({ sub: "alice" }), "the-backend-s-key", "a+b/c=="])
    expect([text, isSendable(text)]).toEqual([text, true]);
  for (const text of ["", "a b", "a.b.ç", "a.b.c\u200b", "a,b", "=", "a=b", "a\nb"])
    expect([text, isSendable(text)]).toEqual([text, false]);
});

test("the Chinese texts have the same values in them as the English ones", () => {
  const values = (text: string): string[] => [...text.matchAll(/\{\d\}/g)].map(([value]) => value).toSorted();
  for (const [word, text] of Object.entries(english)) {
    const translated = Object.entries(chinese).find(([key]) => key === word)?.[1] ?? "";
    expect([word, translated === "", values(translated)]).toEqual([word, false, values(text)]);
  }
});
