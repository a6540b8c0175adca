import type { Retention } from "../position.ts";
import type { AppendBatch } from "./append-lane.ts";
import type { ChannelKeys } from "./channel-keys.ts";
import { ENTRY_BYTES, headerBytes, writeEntry, writeHeader } from "./frame.ts";
import { argumentsOf, Writer } from "./resp.ts";

/** How much of a call stands around its batches, and around what a batch brings itself, at most. */
const CALL_BYTES = 512;
const BATCH_BYTES = 512;
/** As in scripts/append-next.lua, where they are FIRST, less one, and PLACES. */
const CALL_ARGUMENTS = 3;
const BATCH_ARGUMENTS = 10;
/** How late times to live may be renewed, at most. */
const MAX_SLACK_MS = 1000;

/** What a call of scripts/append-next.lua says for all of its batches. */
export interface AppendTerms {
  readonly command: "EVAL" | "EVALSHA";
  /** Its text, or the digest of it. */
  readonly script: string;
  readonly freshEpoch: string;
  /** How the instance is called in heads. */
  readonly instance: string;
  /** When it is written. */
  readonly nowMs: number;
  /** Of all messages; greater than any before. */
  readonly stamp: number;
  readonly lastTtlMs: number;
  readonly onceTtlMs: number;
}

/** How long a log is kept after a message, by times to live that are not renewed with each of them. */
export function keptMs({ ttlMs }: Retention): number {
  return ttlMs + slackMs(ttlMs);
}

function slackMs(ttlMs: number): number {
  return Math.min(MAX_SLACK_MS, Math.floor(ttlMs / 16));
}

/** How Redis calls a lane, in arguments; put into words once. */
export class LaneWords {
  readonly keys: Buffer;
  /** The channel; how many messages are kept, and how long. */
  readonly lane: Buffer;
  readonly size: number;
  readonly #keys: ChannelKeys;
  readonly #slackMs: number;
  #renewedMs = 0;

  constructor(keys: ChannelKeys, redisChannel: string, retention: Retention) {
    this.#keys = keys;
    this.keys = argumentsOf(keys.head, keys.log);
    this.lane = argumentsOf(redisChannel, `${retention.size} ${keptMs(retention)}`);
    this.size = retention.size;
    this.#slackMs = slackMs(retention.ttlMs);
  }

  /** What was published under an idempotency key. */
  once(key: string): Buffer {
    return argumentsOf(this.#keys.once(key));
  }

  /** Whether it is time to renew the times to live. */
  renews(nowMs: number): boolean {
    const age = nowMs - this.#renewedMs;
    // The clock may have been set back.
    return age < 0 || age >= this.#slackMs;
  }

  /** What was written then has arrived: not before that is it known that they were renewed, where it was time. */
  arrived(writtenMs: number): void {
    if (this.renews(writtenMs)) this.#renewedMs = writtenMs;
  }
}

/** A batch as it is written: with the newest entry that the instance has seen of the channel. */
export interface AppendPart {
  readonly batch: AppendBatch;
  readonly words: LaneWords;
  /** Empty where nothing was seen. */
  readonly epoch: string;
  readonly offset: number;
  /** Only where it is in doubt: to look for it costs. */
  readonly stamp: number | undefined;
  /** Whether it can only be the next batch of what was seen, or else was not written yet. */
  readonly isNext: boolean;
}

/** The words of one call for several channels. */
export function writeAppend(terms: AppendTerms, parts: readonly AppendPart[]): Buffer {
  const keys: Buffer[] = [];
  let numKeys = 0;
  let bytes = CALL_BYTES + terms.script.length;
  for (const { batch, words, epoch } of parts) {
    const key = batch.items[0]?.key;
    keys.push(words.keys);
    if (key !== undefined) keys.push(words.once(key));
    numKeys += key === undefined ? 2 : 3;
    bytes += words.lane.length + 2 * epoch.length + BATCH_BYTES + listBytes(batch);
  }
  for (const { length } of keys) bytes += length;
  const writer = new Writer(bytes);
  writer.ascii("*");
  writer.decimal(3 + numKeys + CALL_ARGUMENTS + parts.length * BATCH_ARGUMENTS);
  writer.lineEnd();
  writer.argument(terms.command);
  writer.argument(terms.script);
  writer.argument(numKeys);
  for (const key of keys) writer.bytes(key);
  writer.argument(terms.instance);
  writer.argument(terms.stamp);
  writer.argument(`${terms.freshEpoch} ${terms.lastTtlMs} ${terms.onceTtlMs}`);
  for (const part of parts) writeBatch(writer, part, terms);
  return writer.written;
}

function writeBatch(writer: Writer, part: AppendPart, { stamp, nowMs }: AppendTerms): void {
  const { batch, words, epoch, offset, isNext } = part;
  const { items, sequence } = batch;
  const last = offset + items.length;
  writer.bytes(words.lane);
  writer.argument(howOf(part, nowMs));
  writer.argument(sequence);
  writer.argument(items.length);
  writer.argumentOf(listBytes(batch));
  for (const { message, bytes } of items) writeEntry(writer, message, bytes);
  writer.lineEnd();
  writer.argument(epoch);
  writer.argument(last);
  writer.argument(isNext ? Math.max(0, last - words.size) : (part.stamp ?? ""));
  writer.argumentOf(isNext ? headerBytes(epoch) : 0);
  if (isNext) writeHeader(writer, epoch, offset + 1, stamp);
  writer.lineEnd();
}

/** See scripts/append-next.lua. */
function howOf({ batch, words, isNext }: AppendPart, nowMs: number): string {
  if (isNext) return words.renews(nowMs) ? "r" : "n";
  return batch.items[0]?.key === undefined ? "s" : "k";
}

function listBytes({ items, bytes }: AppendBatch): number {
  return items.length * ENTRY_BYTES + bytes;
}

/** What became of a batch: where its last message stands, and whether this call appended it. */
export type Appended = Error | { readonly epoch: string; readonly offset: number; readonly isNew: boolean };

/**
 * What the script answered, for each part.
 *
 * @throws Error where it is not the script's answer
 */
export function readAppended(answer: unknown, parts: readonly AppendPart[]): Appended[] {
  if (answer === "") return parts.map(nextOf);
  const lines = String(answer).split("\n");
  // What it is instead is not said: it may be anybody's message.
  if (lines.length !== parts.length || !lines.every(isLine)) throw new Error("Redis answered something else");
  return parts.map((part, index) => {
    const line = lines[index] ?? "";
    if (line === "") return nextOf(part);
    if (line.startsWith("!")) return new Error(line.slice(1));
    const [epoch = "", offset, isNew] = line.split(" ");
    return { epoch, offset: Number(offset), isNew: isNew === "1" };
  });
}

function isLine(line: string): boolean {
  return line === "" || line.startsWith("!") || /^\w+ \d+ [01]$/.test(line);
}

function nextOf({ batch, epoch, offset }: AppendPart): Appended {
  return { epoch, offset: offset + batch.items.length, isNew: true };
}
