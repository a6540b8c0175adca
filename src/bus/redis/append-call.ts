import type { Retention } from "../../position.ts";
import type { Batch } from "../outbox-queue.ts";
import { ENTRY_BYTES, headerBytes, writeEntry, writeHeader } from "./frame.ts";
import type { ChannelKeys } from "./keys.ts";
import type { LastSeen } from "./loss-detector.ts";
import { argumentsOf, Writer } from "./resp.ts";

/** Bytes of a call around its batches, and of a batch around its own texts, at most. */
const CALL_BYTES = 512;
const BATCH_BYTES = 512;
/** As in lua/append-next.lua, where they are FIRST, less one, and PLACES. */
const CALL_ARGUMENTS = 3;
const BATCH_ARGUMENTS = 10;
/** The delay with which times to live may be renewed, at most. */
const MAX_SLACK_MS = 1000;

/** An idempotency key. */
type Key = string | undefined;
/** Messages that are appended together or not at all, always under the same sequence. */
export type AppendBatch = Batch<Key, AppendRoute>;

/** The part of a call of lua/append-next.lua that holds for all of its batches. */
export interface AppendTerms {
  readonly command: "EVAL" | "EVALSHA";
  /** The script's text, or the digest of it. */
  readonly script: string;
  readonly freshEpoch: string;
  /** The instance's name in heads. */
  readonly instance: string;
  /** When it is written. */
  readonly nowMs: number;
  /** The checkpoint of all messages; greater than any before. */
  readonly checkpoint: number;
  readonly lastTtlMs: number;
  readonly onceTtlMs: number;
}

/** The time that a log is kept after a message, given that times to live are not renewed with each of them. */
export function keptMs({ ttlMs }: Retention): number {
  return ttlMs + slackMs(ttlMs);
}

function slackMs(ttlMs: number): number {
  return Math.min(MAX_SLACK_MS, Math.floor(ttlMs / 16));
}

/** The way to the log of a channel: its keys and settings as arguments, encoded once. */
export class AppendRoute {
  readonly channel: string;
  readonly keys: Buffer;
  /** The newest entry seen of the log, once somebody asked. */
  seen: LastSeen | undefined;
  readonly #keys: ChannelKeys;
  readonly #redisChannel: string;
  #retention: Retention | undefined;
  #settings: Buffer = Buffer.alloc(0);
  #size = 0;
  #slackMs = 0;
  #renewedMs = 0;

  constructor(channel: string, keys: ChannelKeys, redisChannel: string) {
    this.channel = channel;
    this.#keys = keys;
    this.#redisChannel = redisChannel;
    this.keys = argumentsOf(keys.head, keys.log);
  }

  /** The channel in Redis; how many messages are kept, and how long. */
  get settings(): Buffer {
    return this.#settings;
  }

  /** Messages that are kept. */
  get size(): number {
    return this.#size;
  }

  /** Goes by this retention from now on. */
  keep(retention: Retention): void {
    if (this.#retention === retention) return;
    this.#retention = retention;
    this.#settings = argumentsOf(this.#redisChannel, `${retention.size} ${keptMs(retention)}`);
    this.#size = retention.size;
    this.#slackMs = slackMs(retention.ttlMs);
    this.#renewedMs = 0;
  }

  /** The key of what was published under an idempotency key. */
  once(key: string): Buffer {
    return argumentsOf(this.#keys.once(key));
  }

  /** True if it is time to renew the times to live. */
  renews(nowMs: number): boolean {
    const age = nowMs - this.#renewedMs;
    // The clock may have been set back.
    return age < 0 || age >= this.#slackMs;
  }

  /**
   * A call that was written then, with these settings, has arrived. Not before that is it known that times to live were renewed, if
   * they had to be.
   */
  arrived(settings: Buffer, writtenMs: number): void {
    if (settings === this.#settings && this.renews(writtenMs)) this.#renewedMs = writtenMs;
  }
}

/** A batch as it is written: with the newest entry that the instance has seen of the channel. */
export interface AppendPart {
  readonly batch: AppendBatch;
  /** The key of its route at the time of writing. */
  readonly settings: Buffer;
  /** Empty where nothing was seen. */
  readonly epoch: string;
  readonly offset: number;
  /** Only while the entry is unproven: looking for it costs. */
  readonly checkpoint: number | undefined;
  /** True if it can only be the next batch after the entry, or else was not written yet. */
  readonly isNext: boolean;
}

/** Encodes one call for several channels. */
export function writeAppend(terms: AppendTerms, parts: readonly AppendPart[]): Buffer {
  const keys: Buffer[] = [];
  let numKeys = 0;
  let bytes = CALL_BYTES + terms.script.length;
  for (const { batch, settings, epoch } of parts) {
    const { route } = batch.queue;
    const key = batch.items[0]?.extra;
    keys.push(route.keys);
    if (key !== undefined) keys.push(route.once(key));
    numKeys += key === undefined ? 2 : 3;
    bytes += settings.length + 2 * epoch.length + BATCH_BYTES + listBytes(batch);
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
  writer.argument(terms.checkpoint);
  writer.argument(`${terms.freshEpoch} ${terms.lastTtlMs} ${terms.onceTtlMs}`);
  for (const part of parts) writeBatch(writer, part, terms);
  return writer.written;
}

function writeBatch(writer: Writer, part: AppendPart, { checkpoint, nowMs }: AppendTerms): void {
  const { batch, settings, epoch, offset, isNext } = part;
  const { items, sequence } = batch;
  const { route } = batch.queue;
  const last = offset + items.length;
  writer.bytes(settings);
  writer.argument(modeOf(part, nowMs));
  writer.argument(sequence);
  writer.argument(items.length);
  writer.argumentOf(listBytes(batch));
  for (const { message, bytes } of items) writeEntry(writer, message, bytes);
  writer.lineEnd();
  writer.argument(epoch);
  writer.argument(last);
  writer.argument(isNext ? Math.max(0, last - route.size) : (part.checkpoint ?? ""));
  writer.argumentOf(isNext ? headerBytes(epoch) : 0);
  if (isNext) writeHeader(writer, epoch, offset + 1, checkpoint);
  writer.lineEnd();
}

/** See lua/append-next.lua. */
function modeOf({ batch, isNext }: AppendPart, nowMs: number): string {
  if (isNext) return batch.queue.route.renews(nowMs) ? "r" : "n";
  return batch.items[0]?.extra === undefined ? "s" : "k";
}

function listBytes({ items, bytes }: AppendBatch): number {
  return items.length * ENTRY_BYTES + bytes;
}

/** The outcome of a batch: where its last message stands, and whether this call appended it. */
export type Appended = Error | { readonly epoch: string; readonly offset: number; readonly isNew: boolean };

/**
 * Reads the script's answer, for each part.
 *
 * @throws Error where it is not the script's answer
 */
export function readAppended(answer: unknown, parts: readonly AppendPart[]): Appended[] {
  if (answer === "") return parts.map(nextOf);
  const lines = String(answer).split("\n");
  // The error does not quote the answer: it may be anybody's message.
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
