import type { Message } from "../../message.ts";

/*
 * Redis's protocol (https://redis.io/docs/latest/develop/reference/protocol-spec/), as far as moving messages needs it: finding the
 * ends of replies, and writing commands into one buffer.
 *
 * ioredis makes arrays and strings of every command and parses every reply into objects; measured, that costs more than everything
 * else that is done for a message. So commands that move messages are written here, and their replies are read by reply-tap.ts.
 * Everything else goes through ioredis.
 */

const LF = 10;
const CR = 13;
const STRING = 36; // $
const MINUS = 45;
const ZERO = 48;
const STRINGS = new Set(Buffer.from("$=!"));
const LISTS = new Set(Buffer.from("*~>"));
const MAP = 37; // %
/** Precedes the reply that it describes. */
const ATTRIBUTE = 124; // |

/** Finds the end of a reply that may come in pieces; keeps nothing of it. */
export class ReplyEnd {
  /** Elements still to come. */
  #left = 1;
  /** Bytes of a string still to come. */
  #rest = 0;

  get found(): boolean {
    return this.#left === 0 && this.#rest === 0;
  }

  /** Bytes that have to arrive, at least, before another look is worth it. */
  get needed(): number {
    return Math.max(1, this.#rest);
  }

  /** Continues at a place. Returns the end of the reply, or the place where the next look has to continue. */
  look(bytes: Buffer, at: number): number {
    let place = at;
    while (!this.found) {
      if (this.#rest > 0) {
        const some = Math.min(this.#rest, bytes.length - place);
        this.#rest -= some;
        place += some;
        if (this.#rest > 0) return place;
        continue;
      }
      const line = bytes.indexOf(LF, place);
      if (line === -1) return place;
      this.#left -= 1;
      this.#count(bytes[place] ?? 0, integerAt(bytes, place + 1));
      place = line + 1;
    }
    return place;
  }

  #count(type: number, count: number): void {
    // A count below 0 stands for null.
    if (STRINGS.has(type) && count >= 0) this.#rest = count + 2;
    else if (LISTS.has(type) && count > 0) this.#left += count;
    else if (type === MAP) this.#left += 2 * count;
    else if (type === ATTRIBUTE) this.#left += 2 * count + 1;
  }
}

/**
 * Returns the end of the reply that begins at `at`. If it is not complete yet, returns minus the number of bytes that the buffer has
 * to hold, at least, before another look is worth it.
 */
export function replyEnd(bytes: Buffer, at: number): number {
  const end = new ReplyEnd();
  const place = end.look(bytes, at);
  return end.found ? place : -Math.max(bytes.length + 1, place + end.needed);
}

/** Reads the integer that begins at a place, up to the first other character. */
export function integerAt(bytes: Buffer, at: number): number {
  const negative = bytes[at] === MINUS;
  let value = 0;
  for (let place = negative ? at + 1 : at; ; place += 1) {
    const digit = (bytes[place] ?? 0) - ZERO;
    if (digit < 0 || digit > 9) return negative ? -value : value;
    value = value * 10 + digit;
  }
}

/** Reads the line that begins at a place. */
export function lineAt(bytes: Buffer, at: number): string {
  return bytes.toString("utf8", at, bytes.indexOf(LF, at) - 1);
}

/** Reads the string that begins at a place. */
export function stringAt(bytes: Buffer, at: number): string {
  const start = bytes.indexOf(LF, at) + 1;
  return bytes.toString("utf8", start, start + integerAt(bytes, at + 1));
}

/**
 * Bytes written into one piece of memory. Short texts are written a byte at a time: joining them to a string first would cost more
 * than everything else that is done for a message.
 */
export class Writer {
  readonly #bytes: Buffer;
  #at = 0;

  /** @param maxBytes an upper bound of what will be written */
  constructor(maxBytes: number) {
    this.#bytes = Buffer.allocUnsafe(maxBytes);
  }

  byte(value: number): void {
    this.#bytes[this.#at] = value;
    this.#at += 1;
  }

  /** 4 bytes, big endian. */
  integer(value: number): void {
    this.#at = this.#bytes.writeUInt32BE(value, this.#at);
  }

  bytes(bytes: Uint8Array): void {
    this.#bytes.set(bytes, this.#at);
    this.#at += bytes.length;
  }

  /** A short text of ASCII. */
  ascii(text: string): void {
    for (let index = 0; index < text.length; index += 1) this.#bytes[this.#at + index] = text.charCodeAt(index);
    this.#at += text.length;
  }

  /** An integer that is not negative, in digits. */
  decimal(value: number): void {
    const end = this.#at + digitsOf(value);
    let rest = value;
    for (let at = end - 1; at >= this.#at; at -= 1) {
      const next = Math.floor(rest / 10);
      this.#bytes[at] = ZERO + rest - next * 10;
      rest = next;
    }
    this.#at = end;
  }

  lineEnd(): void {
    this.byte(CR);
    this.byte(LF);
  }

  /** An argument of a command, with its length. @param value a short text of ASCII, or an integer that is not negative */
  argument(value: string | number): void {
    this.argumentOf(typeof value === "number" ? digitsOf(value) : value.length);
    if (typeof value === "number") this.decimal(value);
    else this.ascii(value);
    this.lineEnd();
  }

  /** The beginning of an argument of so many bytes. They and the end of a line have to follow. */
  argumentOf(bytes: number): void {
    this.byte(STRING);
    this.decimal(bytes);
    this.lineEnd();
  }

  message(message: Message): void {
    if (typeof message !== "string") this.bytes(message);
    // Buffer.write() leaves out in silence what has no room.
    else if (this.#at + message.length > this.#bytes.length) throw new RangeError("a message is longer than expected");
    else this.#at += this.#bytes.write(message, this.#at, "utf8");
  }

  /** @throws RangeError if more was written than fits: Redis would take the rest for something else */
  get written(): Buffer {
    if (this.#at > this.#bytes.length) throw new RangeError("a command is longer than expected");
    return this.#bytes.subarray(0, this.#at);
  }
}

/** Encodes arguments of a command. */
export function argumentsOf(...values: (string | number)[]): Buffer {
  return Buffer.from(values.map((value) => `$${Buffer.byteLength(String(value))}\r\n${value}\r\n`).join(""));
}

function digitsOf(value: number): number {
  let digits = 1;
  for (let rest = value; rest >= 10; rest = Math.floor(rest / 10)) digits += 1;
  return digits;
}
