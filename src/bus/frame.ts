import { isUtf8 } from "node:buffer";
import type { Message } from "../message.ts";

/*
 * How messages travel in Redis. A text without position travels as itself, so that any Redis client can publish and read it.
 * All else is framed:
 *
 *   0xFF              no UTF-8 text holds this byte
 *   0x01              the version
 *   E     1 byte      the length of the epoch; 0: these messages have no position
 *   epoch E bytes     ASCII
 *   offset 8 bytes    only with an epoch: the offset of the first message, big endian; the next ones follow by one
 *   one or more of
 *     kind   1 byte   0 text (UTF-8), 1 binary
 *     length 4 bytes  big endian
 *     payload
 */
const MAGIC = 0xff;
const VERSION = 0x01;
const HEADER_BYTES = 3;
const OFFSET_BYTES = 8;
const ENTRY_BYTES = 5;
const TEXT = 0;
const BINARY = 1;

/** What to publish in Redis for a message without position. */
export function encodeFrame(message: Message): string | Buffer {
  if (typeof message === "string") return message;
  const frame = Buffer.allocUnsafe(HEADER_BYTES + ENTRY_BYTES + message.byteLength);
  frame[0] = MAGIC;
  frame[1] = VERSION;
  frame[2] = 0;
  frame[3] = BINARY;
  frame.writeUInt32BE(message.byteLength, 4);
  frame.set(message, HEADER_BYTES + ENTRY_BYTES);
  return frame;
}

/**
 * The messages of what was published in Redis, in order; never none. What is neither text nor a valid frame is from a foreign
 * publisher, and is one binary message as it is.
 */
export function decodeFrame(payload: Buffer): Message[] {
  if (payload[0] !== MAGIC) return [isUtf8(payload) ? payload.toString("utf8") : payload];
  return decodeList(payload) ?? [payload];
}

function decodeList(frame: Buffer): Message[] | undefined {
  if (frame.length < HEADER_BYTES || frame[1] !== VERSION) return undefined;
  const epochBytes = frame[2] ?? 0;
  let at = HEADER_BYTES + (epochBytes === 0 ? 0 : epochBytes + OFFSET_BYTES);
  const messages: Message[] = [];
  while (at < frame.length) {
    if (frame.length - at < ENTRY_BYTES) return undefined;
    const kind = frame[at];
    const end = at + ENTRY_BYTES + frame.readUInt32BE(at + 1);
    if (end > frame.length) return undefined;
    const payload = frame.subarray(at + ENTRY_BYTES, end);
    if (kind === BINARY) messages.push(payload);
    else if (kind === TEXT && isUtf8(payload)) messages.push(payload.toString("utf8"));
    else return undefined;
    at = end;
  }
  return messages.length === 0 ? undefined : messages;
}
