import { isUtf8 } from "node:buffer";
import type { Message } from "../message.ts";
import type { Entries } from "./bus.ts";

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
const ENTRY_BYTES = 5;
const TEXT = 0;
const BINARY = 1;
const NO_POSITION = Buffer.from([MAGIC, VERSION, 0]);

/** What to publish in Redis for a message without position. */
export function encodeFrame(message: Message): string | Buffer {
  return typeof message === "string" ? message : Buffer.concat([NO_POSITION, encodeEntry(message)]);
}

/** One entry of a frame's list; the log in Redis keeps messages in this form, too. */
export function encodeEntry(message: Message): Buffer {
  const length = typeof message === "string" ? Buffer.byteLength(message) : message.byteLength;
  const entry = Buffer.allocUnsafe(ENTRY_BYTES + length);
  entry[0] = typeof message === "string" ? TEXT : BINARY;
  entry.writeUInt32BE(length, 1);
  if (typeof message === "string") entry.write(message, ENTRY_BYTES);
  else entry.set(message, ENTRY_BYTES);
  return entry;
}

/**
 * What was published in Redis: one message, several, or entries of a log; never none. What is neither text nor a valid frame is
 * from a foreign publisher, and is one binary message as it is.
 */
export function decodeFrame(payload: Buffer): Message | Message[] | Entries {
  if (payload[0] !== MAGIC) return isUtf8(payload) ? payload.toString("utf8") : payload;
  return decodeList(payload) ?? payload;
}

/** The messages of a list of entries, or undefined where it is none. */
export function decodeEntries(list: Buffer, start = 0): Message[] | undefined {
  let at = start;
  const messages: Message[] = [];
  while (at < list.length) {
    if (list.length - at < ENTRY_BYTES) return undefined;
    const kind = list[at];
    const end = at + ENTRY_BYTES + list.readUInt32BE(at + 1);
    if (end > list.length) return undefined;
    const payload = list.subarray(at + ENTRY_BYTES, end);
    if (kind === BINARY) messages.push(payload);
    else if (kind === TEXT && isUtf8(payload)) messages.push(payload.toString("utf8"));
    else return undefined;
    at = end;
  }
  return messages.length === 0 ? undefined : messages;
}

function decodeList(frame: Buffer): Message[] | Entries | undefined {
  if (frame.length < HEADER_BYTES || frame[1] !== VERSION) return undefined;
  const epochBytes = frame[2] ?? 0;
  if (epochBytes === 0) return decodeEntries(frame, HEADER_BYTES);
  const at = HEADER_BYTES + epochBytes;
  const messages = decodeEntries(frame, at + POSITION_BYTES);
  if (messages === undefined) return undefined;
  const epoch = frame.toString("latin1", HEADER_BYTES, at);
  return { epoch, first: Number(frame.readBigUInt64BE(at)), stamp: Number(frame.readBigUInt64BE(at + 8)), messages };
}
