import { isUtf8 } from "node:buffer";
import { byteLength, type Message } from "../../message.ts";
import type { Checkpoint, Entries } from "../history.ts";
import { memberOf } from "../member-counts.ts";
import type { PresenceChange } from "../presence.ts";
import { Writer } from "./resp.ts";

/*
 * The form in which messages travel in Redis. A text without position travels as itself, so that any Redis client can publish and read it.
 * Everything else is framed:
 *
 *   0xFF              no UTF-8 text holds this byte
 *   0x01              the version
 *   E     1 byte      the length of the epoch; 0: these entries have no position
 *   only with an epoch:
 *     epoch  E bytes  ASCII
 *     offset 8 bytes  the offset of the first message, big endian; the next ones follow by one
 *     checkpoint 8    tells these messages from others at the same offsets, big endian
 *   one or more entries:
 *     kind   1 byte
 *     length 4 bytes  of the payload, big endian
 *     payload
 *
 * Kinds of entries:
 *
 *   0 text      UTF-8
 *   1 binary
 *   2 origin    reserved: the session that published the entry after it, and that is to be left out. It takes no offset. Nothing
 *               writes it yet; readers skip it, so that instances which do not know it deliver to everybody.
 *   3 presence  a member joined or left; only in frames without position, and without messages. lua/presence.lua writes it:
 *                 change 1 byte   1 join, 0 leave
 *                 I      4 bytes  the length of the member's id, big endian
 *                 id     I bytes  UTF-8
 *                 data            the member's data (JSON, UTF-8); empty: none
 */
const MAGIC = 0xff;
const VERSION = 0x01;
const HEADER_BYTES = 3;
const POSITION_BYTES = 16;
/** Bytes of an entry besides its payload. */
export const ENTRY_BYTES = 5;
const TEXT = 0;
const BINARY = 1;
const ORIGIN = 2;
const PRESENCE = 3;
const JOIN = 1;
const PRESENCE_BYTES = 5;
/** Counting on from it stays exact. */
const MAX_OFFSET = 2 ** 52;
const NO_POSITION = Buffer.from([MAGIC, VERSION, 0]);
/** Bytes of a framed binary message besides its payload. */
const BINARY_BYTES = HEADER_BYTES + ENTRY_BYTES;

/** Presence changes, as a frame holds them. */
export interface Changes {
  readonly changes: readonly PresenceChange[];
}

/** Bytes that `writeFrame` writes. */
export function frameBytes(message: Message, bytes: number): number {
  return typeof message === "string" ? bytes : BINARY_BYTES + bytes;
}

/** Writes a message without position. @param bytes of its payload */
export function writeFrame(writer: Writer, message: Message, bytes: number): void {
  if (typeof message === "string") writer.message(message);
  else {
    writer.bytes(NO_POSITION);
    writeEntry(writer, message, bytes);
  }
}

/** A message as one entry; the log in Redis keeps lists of them. */
export function encodeEntry(message: Message): Buffer {
  const bytes = byteLength(message);
  const writer = new Writer(ENTRY_BYTES + bytes);
  writeEntry(writer, message, bytes);
  return writer.written;
}

/** Bytes of the header of a frame of messages with positions. */
export function headerBytes(epoch: string): number {
  return HEADER_BYTES + epoch.length + POSITION_BYTES;
}

/** @param first the offset of the first message */
export function writeHeader(writer: Writer, epoch: string, first: number, checkpoint: number): void {
  writer.byte(MAGIC);
  writer.byte(VERSION);
  writer.byte(epoch.length);
  writer.ascii(epoch);
  writeInteger(writer, first);
  writeInteger(writer, checkpoint);
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
 * Decodes a publication: one message, several, entries of a log, or presence changes; never nothing. A foreign publication that is
 * neither text nor a valid frame becomes one binary message, as it is.
 */
export function decodeFrame(bytes: Buffer, start = 0, end = bytes.length): Message | Message[] | Entries | Changes {
  const isFrame = start < end && bytes[start] === MAGIC;
  return (isFrame ? decodeFramed(bytes, start, end) : decodeText(bytes, start, end)) ?? bytes.subarray(start, end);
}

/** Decodes the messages of a list of entries; undefined if it is no such list. */
export function decodeEntries(list: Buffer, start = 0, end = list.length): Message[] | undefined {
  let at = start;
  const messages: Message[] = [];
  while (at < end) {
    const from = at + ENTRY_BYTES;
    if (from > end) return undefined;
    const kind = list[at];
    const to = from + list.readUInt32BE(at + 1);
    if (to > end) return undefined;
    at = to;
    if (kind === ORIGIN) continue;
    const message = kind === TEXT ? decodeText(list, from, to) : kind === BINARY ? list.subarray(from, to) : undefined;
    if (message === undefined) return undefined;
    messages.push(message);
  }
  return messages.length === 0 ? undefined : messages;
}

function decodeFramed(bytes: Buffer, start: number, end: number): Message[] | Entries | Changes | undefined {
  if (end - start < HEADER_BYTES || bytes[start + 1] !== VERSION) return undefined;
  const epochBytes = bytes[start + 2] ?? 0;
  const at = start + HEADER_BYTES + epochBytes;
  if (epochBytes === 0) return bytes[at] === PRESENCE ? decodeChanges(bytes, at, end) : decodeEntries(bytes, at, end);
  const messages = decodeEntries(bytes, at + POSITION_BYTES, end);
  if (messages === undefined) return undefined;
  const first = readInteger(bytes, at);
  const checkpoint = readInteger(bytes, at + 8);
  // An instance that took larger numbers for real could not write what comes next.
  if (first > MAX_OFFSET || checkpoint > Number.MAX_SAFE_INTEGER) return undefined;
  return { epoch: bytes.toString("latin1", start + HEADER_BYTES, at), first, checkpoint: toCheckpoint(checkpoint), messages };
}

function decodeChanges(bytes: Buffer, start: number, end: number): Changes | undefined {
  const changes: PresenceChange[] = [];
  for (let at = start; at < end;) {
    const from = at + ENTRY_BYTES;
    if (from + PRESENCE_BYTES > end || bytes[at] !== PRESENCE) return undefined;
    const to = from + bytes.readUInt32BE(at + 1);
    const idEnd = from + PRESENCE_BYTES + bytes.readUInt32BE(from + 1);
    if (to > end || idEnd > to) return undefined;
    const id = decodeText(bytes, from + PRESENCE_BYTES, idEnd);
    const data = decodeText(bytes, idEnd, to);
    if (id === undefined || data === undefined) return undefined;
    changes.push({ change: bytes[from] === JOIN ? "join" : "leave", member: memberOf(id, data === "" ? undefined : data) });
    at = to;
  }
  return changes.length === 0 ? undefined : { changes };
}

/** Undefined where it is not UTF-8. */
function decodeText(bytes: Buffer, start: number, end: number): string | undefined {
  const text = bytes.toString("utf8", start, end);
  // This character stands for bytes that are no UTF-8, or for itself.
  return text.includes("\uFFFD") && !isUtf8(bytes.subarray(start, end)) ? undefined : text;
}

/** 8 bytes, up to 2^53. */
function readInteger(bytes: Buffer, at: number): number {
  return bytes.readUInt32BE(at) * 2 ** 32 + bytes.readUInt32BE(at + 4);
}

/*
 * In here a checkpoint is a number, about the time in microseconds: unique among the entries of a log, and greater than those of
 * entries that the same instance wrote before.
 */

export function toCheckpoint(value: number): Checkpoint {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- opaque to all who use the bus
  return value as unknown as Checkpoint;
}

export function fromCheckpoint(checkpoint: Checkpoint | undefined): number | undefined {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- this bus made it
  return checkpoint as unknown as number | undefined;
}
