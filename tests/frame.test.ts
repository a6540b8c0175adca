import { describe, expect, test } from "bun:test";
import { decodeFrame, encodeFrame } from "../src/bus/frame.ts";

const bytes = (...values: (number | string)[]): Buffer =>
  Buffer.concat(values.map((value) => (typeof value === "string" ? Buffer.from(value) : Buffer.from([value]))));

describe("the frame between instances", () => {
  test("leaves a text as it is", () => {
    expect(encodeFrame("测试")).toBe("测试");
    expect(decodeFrame(Buffer.from("测试"))).toBe("测试");
    expect(decodeFrame(Buffer.alloc(0))).toBe("");
  });

  test("holds a binary message in the layout of version 1", () => {
    expect(encodeFrame(bytes("hi"))).toEqual(bytes(0xff, 1, 0, 1, 0, 0, 0, 2, "hi"));
  });

  test.each([[[]], [[0xff]], [[0xff, 1, 0, 1, 0, 0, 0, 0]], [[0, 128, 255]]])("gives the binary %p back", (values) => {
    expect(decodeFrame(Buffer.from(encodeFrame(Buffer.from(values))))).toEqual([Buffer.from(values)]);
  });

  test("may hold several messages, with or without a position: newer instances send such", () => {
    const list = [0, 0, 0, 0, 1, "a", 1, 0, 0, 0, 1, 0xff, 0, 0, 0, 0, 0];
    const messages = ["a", Buffer.from([0xff]), ""];
    expect(decodeFrame(bytes(0xff, 1, 0, ...list))).toEqual(messages);
    const position = [0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 1, 0];
    expect(decodeFrame(bytes(0xff, 1, 3, "abc", ...position, ...list))).toEqual({ epoch: "abc", first: 7, stamp: 256, messages });
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
    ["a stamp beyond all time", bytes(0xff, 1, 1, "e", ...Array<number>(8).fill(0), ...Array<number>(8).fill(0xff), 0, 0, 0, 0, 1, "a")],
    ["an epoch past the end", bytes(0xff, 1, 200, "abc")],
  ];
  test.each(foreign)("takes %s for a foreign binary message", (_, payload) => {
    expect(decodeFrame(payload)).toEqual(payload);
  });
});
