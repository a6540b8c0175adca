import { isUtf8 } from "node:buffer";
import { byteLength, type Message } from "../message.ts";
import type { Entries } from "./bus.ts";
import { Writer } from "./resp.ts";

/*
 * How messages travel in Redis. A text without position travels as itself, so that any Redis client can publish and read it.
 * All else is framed:
 *
 *   0xFF              no UTF-8 text holds this byte
 *   0x01              the version
 *   E     1 byte      the length of the epoch; 0: these messages have no position
 *   only with an epoch:
 *     epoch  E bytes  ASCII
 *     offset 8 bytes  the offset of the first message, big endian; the next ones follow by one
 *     stamp  8 bytes  what tells these messages from others at the same offsets, big endian
 *   one or more entries:
 *     kind   1 byte   0 text (UTF-8), 1 binary
 *     length 4 bytes  big endian
 *     payload
 */
const MAGIC = 0xff;
const VERSION = 0x01;
const HEADER_BYTES = 3;
const POSITION_BYTES = 16;
/** What an entry takes besides its payload. */
export const ENTRY_BYTES = 5;
const TEXT = 0;
const BINARY = 1;
/** Such that counting on from it stays exact. */
const MAX_OFFSET = 2 ** 52;
const NO_POSITION = Buffer.from([MAGIC, VERSION, 0]);

/** What to publish in Redis for a message without position. */
export function encodeFrame(message: Message): string | Buffer {
  return typeof message === "string" ? message : Buffer.concat([NO_POSITION, encodeEntry(message)]);
}

/** One entry of a frame's list; the log in Redis keeps messages in this form, too. */
export function encodeEntry(message: Message): Buffer {
  const bytes = byteLength(message);
  const writer = new Writer(ENTRY_BYTES + bytes);
  writeEntry(writer, message, bytes);
  return writer.written;
}

/** Of a frame of messages with positions. */
export function headerBytes(epoch: string): number {
  return HEADER_BYTES + epoch.length + POSITION_BYTES;
}

/** @param first the offset of the first message */
export function writeHeader(writer: Writer, epoch: string, first: number, stamp: number): void {
  writer.byte(MAGIC);
  writer.byte(VERSION);
  writer.byte(epoch.length);
  writer.ascii(epoch);
  writeInteger(writer, first);
  writeInteger(writer, stamp);
}

/** 8 bytes, up to 2^53. */
function writeInteger(writer: Writer, value: number): void {
  writer.integer(Math.floor(value / 2 ** 32));
  writer.integer(value % 2 ** 32);
}

/** @param bytes of the message's payload */
export function writeEntry(writer: Writer, message: Message, bytes: number): void {
  writer.byte(typeof message === "string" ? TEXT : BINARY);
  writer.integer(bytes);
  writer.message(message);
}

/**
 * What was published in Redis, between two places: one message, several, or entries of a log; never none. What is neither text nor a
 * valid frame is from a foreign publisher, and is one binary message as it is.
 */
export function decodeFrame(bytes: Buffer, start = 0, end = bytes.length): Message | Message[] | Entries {
  const isFrame = start < end && bytes[start] === MAGIC;
  return (isFrame ? decodeList(bytes, start, end) : decodeText(bytes, start, end)) ?? bytes.subarray(start, end);
}

/** The messages of a list of entries, or undefined where it is none. */
export function decodeEntries(list: Buffer, start = 0, end = list.length): Message[] | undefined {
  let at = start;
  const messages: Message[] = [];
  while (at < end) {
    const from = at + ENTRY_BYTES;
    if (from > end) return undefined;
    const kind = list[at];
    const to = from + list.readUInt32BE(at + 1);
    if (to > end) return undefined;
    const message = kind === TEXT ? decodeText(list, from, to) : kind === BINARY ? list.subarray(from, to) : undefined;
    if (message === undefined) return undefined;
    messages.push(message);
    at = to;
  }
  return messages.length === 0 ? undefined : messages;
}

function decodeList(bytes: Buffer, start: number, end: number): Message[] | Entries | undefined {
  if (end - start < HEADER_BYTES || bytes[start + 1] !== VERSION) return undefined;
  const epochBytes = bytes[start + 2] ?? 0;
  const at = start + HEADER_BYTES + epochBytes;
  if (epochBytes === 0) return decodeEntries(bytes, at, end);
  const messages = decodeEntries(bytes, at + POSITION_BYTES, end);
  if (messages === undefined) return undefined;
  const first = readInteger(bytes, at);
  const stamp = readInteger(bytes, at + 8);
  // An instance that took them for real could not write what comes next.
  if (first > MAX_OFFSET || stamp > Number.MAX_SAFE_INTEGER) return undefined;
  return { epoch: bytes.toString("latin1", start + HEADER_BYTES, at), first, stamp, messages };
}

/** Undefined where it is not UTF-8. */
function decodeText(bytes: Buffer, start: number, end: number): string | undefined {
  const text = bytes.toString("utf8", start, end);
  // It stands for what is no UTF-8, or for itself.
  return text.includes("\uFFFD") && !isUtf8(bytes.subarray(start, end)) ? undefined : text;
}

/** 8 bytes, up to 2^53. */
function readInteger(bytes: Buffer, at: number): number {
  return bytes.readUInt32BE(at) * 2 ** 32 + bytes.readUInt32BE(at + 4);
}
