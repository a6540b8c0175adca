import { describe, expect, test } from "bun:test";
import { Socket } from "node:net";
import { Log } from "../../../../src/log.ts";
import { RedisConnection } from "../../../../src/bus/redis/connection.ts";
import { PublishReplies, tapReplies, TextReply, type Replies } from "../../../../src/bus/redis/reply-tap.ts";
import { replyEnd } from "../../../../src/bus/redis/resp.ts";
import { RedisServer } from "../../../support/redis.ts";

const replies: readonly (readonly [what: string, reply: string])[] = [
  ["a line", "+OK\r\n"],
  ["an error", "-ERR no\r\n"],
  ["an integer", ":-12\r\n"],
  ["a text", "$5\r\nhello\r\n"],
  ["an empty text", "$0\r\n\r\n"],
  ["a text that looks like replies", "$7\r\n:1\r\n+x\n\r\n"],
  ["no text", "$-1\r\n"],
  ["nothing", "_\r\n"],
  ["no list", "*-1\r\n"],
  ["an empty list", "*0\r\n"],
  ["a list of lists", "*3\r\n*2\r\n:1\r\n$1\r\na\r\n*0\r\n+b\r\n"],
  ["a map", "%2\r\n+a\r\n:1\r\n+b\r\n*1\r\n:2\r\n"],
  ["a set", "~2\r\n:1\r\n:2\r\n"],
  ["what stands beside a reply", "|1\r\n+ttl\r\n:3600\r\n*1\r\n:1\r\n"],
  ["a push", ">3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n"],
];

describe("where a reply ends", () => {
  test.each(replies)("%s, whatever comes next", (_, reply) => {
    for (const next of ["", ":7\r\n", "$4\r\nab"]) {
      expect(replyEnd(Buffer.from(`+x\r\n${reply}${next}`), 4)).toBe(4 + reply.length);
    }
  });

  test.each(replies)("%s, cut anywhere, is not whole, and never waits for more than there is", (_, reply) => {
    for (let cut = 0; cut < reply.length; cut += 1) {
      const needed = -replyEnd(Buffer.from(reply.slice(0, cut)), 0);
      expect(needed).toBeGreaterThan(cut);
      expect(needed).toBeLessThanOrEqual(reply.length);
    }
  });
});

/** A stream that never connects: what Redis says is said by the test. */
function tapped() {
  const stream = new Socket();
  const commands: Replies[] = [];
  const passed: string[] = [];
  const received: (readonly [channel: string, payload: string])[] = [];
  stream.on("data", (reply: Buffer) => passed.push(reply.toString("latin1")));
  tapReplies(stream, { first: () => commands[0], shift: () => void commands.shift() }, (bytes, channelStart, channelEnd, start, end) =>
    received.push([bytes.toString("utf8", channelStart, channelEnd), bytes.toString("utf8", start, end)]),
  );
  const hear = (text: string | Buffer): unknown => stream.emit("data", Buffer.from(text));
  const expectAnswers = (count: number): PublishReplies => {
    const expected = new PublishReplies(count);
    commands.push(expected);
    return expected;
  };
  return { passed, received, hear, expectAnswers, waiting: () => commands.length };
}

const message = (channel: string, payload: string): string =>
  `>3\r\n$7\r\nmessage\r\n$${Buffer.byteLength(channel)}\r\n${channel}\r\n$${Buffer.byteLength(payload)}\r\n${payload}\r\n`;

describe("what moves messages", () => {
  const said = Buffer.from(
    [
      message("a", "one"),
      "+PONG\r\n",
      message("房间", "测试"),
      message("a", ""),
      ">3\r\n$9\r\nsubscribe\r\n$1\r\nb\r\n:2\r\n",
      message("a", message("b", "inner")),
      message("b", "x".repeat(300)),
    ].join(""),
  );
  const texts: (readonly [string, string])[] = [
    ["a", "one"],
    ["房间", "测试"],
    ["a", ""],
    ["a", message("b", "inner")],
    ["b", "x".repeat(300)],
  ];
  const others = ["+PONG\r\n", ">3\r\n$9\r\nsubscribe\r\n$1\r\nb\r\n:2\r\n"];

  test("is heard, and all else is passed on, in whatever pieces it comes", () => {
    for (let first = 0; first <= said.length; first += 1) {
      for (const size of [1, 7, said.length]) {
        const { hear, received, passed } = tapped();
        hear(said.subarray(0, first));
        for (let at = first; at < said.length; at += size) hear(said.subarray(at, at + size));
        expect([first, size, received]).toEqual([first, size, texts]);
        expect([first, size, passed.join("")]).toEqual([first, size, others.join("")]);
      }
    }
  });

  test("stands behind a long reply, which goes on as it comes", () => {
    const { hear, received, passed } = tapped();
    const long = `*200000\r\n${"$6\r\nmember\r\n:1\r\n".repeat(100_000)}`;
    const all = Buffer.from(long + message("a", "one"));
    for (let at = 0; at < all.length; at += 1000) {
      hear(all.subarray(at, at + 1000));
      if (at === 10_000) expect(passed.join("").length).toBeGreaterThan(10_000);
    }
    expect(passed.join("")).toBe(long);
    expect(received).toEqual([["a", "one"]]);
  });

  test("is heard from a Redis that speaks the second version of the protocol", () => {
    const { hear, received } = tapped();
    hear(`*${message("a", "one").slice(1)}`);
    expect(received).toEqual([["a", "one"]]);
  });

  test("answers of publishes are counted, between replies to others and pushes", () => {
    const { hear, passed, expectAnswers, waiting } = tapped();
    const first = expectAnswers(3);
    const second = expectAnswers(1);
    hear(`:1\r\n-NOPERM this\r\n${others[1]}`);
    expect([waiting(), first.answered, first.errorOf(0), first.errorOf(1)]).toEqual([2, 2, undefined, new Error("NOPERM this")]);
    hear(":0\r\n:0\r\n:9\r\n");
    expect([waiting(), first.answered, first.errorOf(2), second.answered]).toEqual([0, 3, undefined, 1]);
    expect(passed).toEqual([others[1] ?? "", ":9\r\n"]);
  });
});

test("ioredis answers commands that were written beforehand, and commands of its own between them", async () => {
  const redis = await RedisServer.start();
  try {
    const connection = new RedisConnection(redis.url, "test", new Log("error", "json", () => 0));
    await new Promise<void>((resolve) => connection.open(resolve, () => undefined));
    const set = { text: "redis.call('SET', 'x', ARGV[1]) return 'set'", sha: "none" };
    const publish = "*3\r\n$7\r\nPUBLISH\r\n$1\r\na\r\n$1\r\nb\r\n";
    const publishes = new PublishReplies(3);
    const script = (text: string): Buffer => Buffer.from(`*3\r\n$4\r\nEVAL\r\n$${text.length}\r\n${text}\r\n$1\r\n0\r\n`);
    const answers = await Promise.all([
      connection.ping(),
      connection.write("publish", Buffer.from(`${publish}*1\r\n$7\r\nPUBLISH\r\n${publish}`), publishes),
      connection.run(set, [], ["1"]).then(String),
      connection.write("evalsha", script("return {1,2}"), new TextReply()),
      connection.write("evalsha", script("return 'a text'"), new TextReply()),
      connection.ping(),
    ]);
    expect(answers).toEqual([true, null, "set", [1, 2], "a text", true]);
    expect([0, 1, 2].map((index) => publishes.errorOf(index) instanceof Error)).toEqual([false, true, false]);
    const cut = connection.write("publish", Buffer.from("*3\r\n$7\r\nPUBLISH\r\n"), new PublishReplies(1));
    connection.close();
    expect(await cut.catch((error: unknown) => error)).toBeInstanceOf(Error);
  } finally {
    await redis.stop();
  }
});
