import type { Message } from "../message.ts";

/*
 * Redis's protocol (https://redis.io/docs/latest/develop/reference/protocol-spec/), as far as moving messages needs it: where
 * replies end, what a push of a message holds, and how commands are put into one buffer.
 */

const LF = 10;
const MINUS = 45;
const ZERO = 48;
const STRINGS = new Set(Buffer.from("$=!"));
const LISTS = new Set(Buffer.from("*~>"));
const MAP = 37; // %
/** It stands before the reply that it says something about. */
const ATTRIBUTE = 124; // |

/**
 * Where the reply that begins at `at` ends. Where it is not whole yet: minus the number of bytes that there have to be, at least,
 * before it is worth another look.
 */
export function replyEnd(bytes: Buffer, at: number): number {
  let place = at;
  for (let left = 1; left > 0; left -= 1) {
    const type = bytes[place] ?? 0;
    const line = bytes.indexOf(LF, place);
    if (line === -1) return -bytes.length - 1;
    const count = integerAt(bytes, place + 1);
    place = line + 1;
    // A count below 0 stands for null.
    if (STRINGS.has(type) && count >= 0) place += count + 2;
    else if (LISTS.has(type) && count > 0) left += count;
    else if (type === MAP) left += 2 * count;
    else if (type === ATTRIBUTE) left += 2 * count + 1;
    if (place > bytes.length) return -place;
  }
  return place;
}

/** The integer that begins at a place; what ends it is not looked at. */
export function integerAt(bytes: Buffer, at: number): number {
  const negative = bytes[at] === MINUS;
  let value = 0;
  for (let place = negative ? at + 1 : at; ; place += 1) {
    const digit = (bytes[place] ?? 0) - ZERO;
    if (digit < 0 || digit > 9) return negative ? -value : value;
    value = value * 10 + digit;
  }
}

/** The text of a line that begins at a place. */
export function lineAt(bytes: Buffer, at: number): string {
  return bytes.toString("utf8", at, bytes.indexOf(LF, at) - 1);
}

/** Bytes that are put together in one piece of memory. */
export class Writer {
  readonly #bytes: Buffer;
  #at = 0;

  /** @param maxBytes at least what it will come to */
  constructor(maxBytes: number) {
    this.#bytes = Buffer.allocUnsafe(maxBytes);
  }

  /** A byte for each character. */
  latin1(text: string): void {
    this.#at += this.#bytes.write(text, this.#at, "latin1");
  }

  byte(value: number): void {
    this.#bytes[this.#at] = value;
    this.#at += 1;
  }

  /** 4 bytes, big endian. */
  integer(value: number): void {
    this.#at = this.#bytes.writeUInt32BE(value, this.#at);
  }

  message(message: Message): void {
    if (typeof message === "string") this.#at += this.#bytes.write(message, this.#at, "utf8");
    else {
      this.#bytes.set(message, this.#at);
      this.#at += message.length;
    }
  }

  get written(): Buffer {
    return this.#bytes.subarray(0, this.#at);
  }
}

/** An argument of a command: how long it is, then what it is. A byte for each character. */
export function argument(value: string | number): string {
  const text = String(value);
  return `$${text.length}\r\n${text}\r\n`;
}

/** A character for each byte of a text in UTF-8. */
export function latin1(text: string): string {
  return Buffer.from(text).toString("latin1");
}
