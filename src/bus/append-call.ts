import type { Retention } from "../position.ts";
import type { AppendBatch } from "./append-queue.ts";
import type { ChannelKeys } from "./channel-keys.ts";
import type { Check } from "./evidence.ts";
import { ENTRY_BYTES, writeEntry } from "./frame.ts";
import { argumentsOf, Writer } from "./resp.ts";

/** How much of a call stands around its batches, and around what a batch brings itself, at most. */
const CALL_BYTES = 512;
const BATCH_BYTES = 512;
const BATCH_ARGUMENTS = 10;

/** What a call of scripts/append.lua says for all of its batches. */
export interface AppendTerms {
  readonly command: "EVAL" | "EVALSHA";
  /** Its text, or the digest of it. */
  readonly script: string;
  readonly freshEpoch: string;
  /** How the instance is called in heads. */
  readonly instance: string;
  readonly lastTtlMs: number;
  readonly onceTtlMs: number;
}

/** How Redis calls a lane, in arguments; put into words once. */
export class LaneWords {
  readonly keys: Buffer;
  readonly channel: Buffer;
  readonly #keys: ChannelKeys;

  constructor(keys: ChannelKeys, redisChannel: string, { size, ttlMs }: Retention) {
    this.#keys = keys;
    this.keys = argumentsOf(keys.head, keys.log);
    this.channel = argumentsOf(redisChannel, size, ttlMs);
  }

  /** What was published under an idempotency key. */
  once(key: string): Buffer {
    return argumentsOf(this.#keys.once(key));
  }
}

/** A batch as it is written: with what the instance has seen of the channel. */
export interface AppendPart {
  readonly batch: AppendBatch;
  readonly words: LaneWords;
  readonly seen: Check;
}

/** The words of one call for several channels. */
export function writeAppend(terms: AppendTerms, parts: readonly AppendPart[]): Buffer {
  const keys: Buffer[] = [];
  let numKeys = 0;
  let bytes = CALL_BYTES + terms.script.length;
  for (const { batch, words, seen } of parts) {
    const key = batch.items[0]?.key;
    keys.push(words.keys);
    if (key !== undefined) keys.push(words.once(key));
    numKeys += key === undefined ? 2 : 3;
    bytes += words.channel.length + seen[0].length + BATCH_BYTES + listBytes(batch);
  }
  for (const { length } of keys) bytes += length;
  const writer = new Writer(bytes);
  writer.ascii("*");
  writer.decimal(3 + numKeys + 4 + parts.length * BATCH_ARGUMENTS);
  writer.lineEnd();
  writer.argument(terms.command);
  writer.argument(terms.script);
  writer.argument(numKeys);
  for (const key of keys) writer.bytes(key);
  writer.argument(terms.freshEpoch);
  writer.argument(terms.instance);
  writer.argument(terms.lastTtlMs);
  writer.argument(terms.onceTtlMs);
  for (const part of parts) writeBatch(writer, part);
  return writer.written;
}

function writeBatch(writer: Writer, { batch, words, seen: [epoch, offset, stamp] }: AppendPart): void {
  const { items, sequence } = batch;
  writer.bytes(words.channel);
  writer.argument(epoch);
  writer.argument(offset);
  writer.argument(stamp);
  writer.argument(sequence);
  writer.argument(items[0]?.key === undefined ? "" : "k");
  writer.argument(items.length);
  writer.ascii("$");
  writer.decimal(listBytes(batch));
  writer.lineEnd();
  for (const { message, bytes } of items) writeEntry(writer, message, bytes);
  writer.lineEnd();
}

function listBytes({ items, bytes }: AppendBatch): number {
  return items.length * ENTRY_BYTES + bytes;
}

/** What became of a batch. */
export type Appended = Error | { readonly epoch: string; readonly offset: number; readonly stamp: number | undefined };

/**
 * What the script answered, for each part. The stamp is that of the last message, if this call appended it.
 *
 * @throws Error where it is not the script's answer
 */
export function readAppended(answer: unknown, parts: readonly AppendPart[]): Appended[] {
  const [stamp, ...lines] = String(answer).split("\n");
  if (lines.length !== parts.length) throw new Error(`the append script answered ${String(answer)}`);
  return lines.map((line, index) => {
    if (line.startsWith("!")) return new Error(line.slice(1));
    const [first = "", offset, isNew] = line.split(" ");
    if (offset === undefined) return { epoch: parts[index]?.seen[0] ?? "", offset: Number(first), stamp: Number(stamp) };
    return { epoch: first, offset: Number(offset), stamp: isNew === "1" ? Number(stamp) : undefined };
  });
}
