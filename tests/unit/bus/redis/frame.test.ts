import { describe, expect, test } from "bun:test";
import { byteLength, type Message } from "../../../../src/message.ts";
import { decodeEntries, decodeFrame, frameBytes, toCheckpoint, writeFrame } from "../../../../src/bus/redis/frame.ts";
import { Writer } from "../../../../src/bus/redis/resp.ts";

function encodeFrame(message: Message): Buffer {
  const bytes = byteLength(message);
  const writer = new Writer(frameBytes(message, bytes));
  writeFrame(writer, message, bytes);
  return writer.written;
}

const bytes = (...values: (number | string)[]): Buffer =>
  Buffer.concat(values.map((value) => (typeof value === "string" ? Buffer.from(value) : Buffer.from([value]))));

describe("the frame between instances", () => {
  test("leaves a text as it is", () => {
    expect(encodeFrame("测试")).toEqual(Buffer.from("测试"));
    expect(decodeFrame(Buffer.from("测试"))).toBe("测试");
    expect(decodeFrame(Buffer.alloc(0))).toBe("");
  });

  test("holds a binary message in the layout of version 1", () => {
    expect(encodeFrame(bytes("hi"))).toEqual(bytes(0xff, 1, 0, 1, 0, 0, 0, 2, "hi"));
  });

  test.each([[[]], [[0xff]], [[0xff, 1, 0, 1, 0, 0, 0, 0]], [[0, 128, 255]]])("gives the binary %p back", (values) => {
    expect(decodeFrame(encodeFrame(Buffer.from(values)))).toEqual([Buffer.from(values)]);
  });

  test("may hold several messages, with or without a position: newer instances send such", () => {
    const list = [0, 0, 0, 0, 1, "a", 1, 0, 0, 0, 1, 0xff, 0, 0, 0, 0, 0];
    const messages = ["a", Buffer.from([0xff]), ""];
    expect(decodeFrame(bytes(0xff, 1, 0, ...list))).toEqual(messages);
    const position = [0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 1, 0];
    expect(decodeFrame(bytes(0xff, 1, 3, "abc", ...position, ...list))).toEqual({
      epoch: "abc",
      first: 7,
      checkpoint: toCheckpoint(256),
      messages,
    });
  });

  test("holds who came and went", () => {
    const join = [3, 0, 0, 0, 12, 1, 0, 0, 0, 5, "alice", "{}"];
    const leave = [3, 0, 0, 0, 6, 0, 0, 0, 0, 1, "b"];
    expect(decodeFrame(bytes(0xff, 1, 0, ...join, ...leave))).toEqual({
      changes: [
        { change: "join", member: { id: "alice", data: "{}" } },
        { change: "leave", member: { id: "b" } },
      ],
    });
  });

  test("may name the sender of a message, which is skipped", () => {
    const list = [2, 0, 0, 0, 3, "sid", 0, 0, 0, 0, 1, "a", 0, 0, 0, 0, 1, "b"];
    expect(decodeFrame(bytes(0xff, 1, 0, ...list))).toEqual(["a", "b"]);
    expect(decodeEntries(bytes(...list))).toEqual(["a", "b"]);
  });

  const foreign: [what: string, payload: Buffer][] = [
    ["bad UTF-8", bytes(0xc3, 0x28)],
    ["the magic byte alone", bytes(0xff)],
    ["another version", bytes(0xff, 2, 0, 0, 0, 0, 0, 1, "a")],
    ["no message", bytes(0xff, 1, 0)],
    ["half a head", bytes(0xff, 1, 0, 0, 0)],
    ["a length past the end", bytes(0xff, 1, 0, 0, 0, 0, 0, 9, "a")],
    ["a kind that nobody knows", bytes(0xff, 1, 0, 7, 0, 0, 0, 1, "a")],
    ["a text that is none", bytes(0xff, 1, 0, 0, 0, 0, 0, 1, 0xff)],
    [
      "an offset beyond all counting",
      bytes(0xff, 1, 1, "e", ...Array<number>(8).fill(0xff), ...Array<number>(8).fill(1), 0, 0, 0, 0, 1, "a"),
    ],
    [
      "a checkpoint beyond all time",
      bytes(0xff, 1, 1, "e", ...Array<number>(8).fill(0), ...Array<number>(8).fill(0xff), 0, 0, 0, 0, 1, "a"),
    ],
    ["an origin of nothing", bytes(0xff, 1, 0, 2, 0, 0, 0, 1, "a")],
    ["a change behind a message", bytes(0xff, 1, 0, 0, 0, 0, 0, 1, "a", 3, 0, 0, 0, 6, 1, 0, 0, 0, 1, "b")],
    ["a message behind a change", bytes(0xff, 1, 0, 3, 0, 0, 0, 6, 1, 0, 0, 0, 1, "b", 0, 0, 0, 0, 1, "a")],
    ["a change of a member past the end", bytes(0xff, 1, 0, 3, 0, 0, 0, 6, 1, 0, 0, 0, 2, "b")],
    ["half a change", bytes(0xff, 1, 0, 3, 0, 0, 0, 2, 1, 0)],
    ["a change that is no UTF-8", bytes(0xff, 1, 0, 3, 0, 0, 0, 6, 1, 0, 0, 0, 1, 0xff)],
    ["a change with a position", bytes(0xff, 1, 1, "e", ...Array<number>(16).fill(1), 3, 0, 0, 0, 6, 1, 0, 0, 0, 1, "b")],
    ["an epoch past the end", bytes(0xff, 1, 200, "abc")],
  ];
  test.each(foreign)("takes %s for a foreign binary message", (_, payload) => {
    expect(decodeFrame(payload)).toEqual(payload);
  });
});
