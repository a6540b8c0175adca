import type { Retention } from "../position.ts";
import type { AppendBatch } from "./append-queue.ts";
import type { ChannelKeys } from "./channel-keys.ts";
import type { Check } from "./evidence.ts";
import { ENTRY_BYTES, writeEntry } from "./frame.ts";
import { listOf } from "./redis-scripts.ts";
import { argument, latin1, Writer } from "./resp.ts";

/** How much of a call stands around what a batch, and an entry of it, brings itself, at most. */
const CALL_BYTES = 512;
const BATCH_BYTES = 512;
const ITEM_BYTES = 32;
/** Arguments of a batch besides its entries. */
const BATCH_ARGUMENTS = 9;

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
  readonly keys: string;
  readonly channel: string;
  readonly #keys: ChannelKeys;

  constructor(keys: ChannelKeys, redisChannel: string, { size, ttlMs }: Retention) {
    this.#keys = keys;
    this.keys = argument(latin1(keys.head)) + argument(latin1(keys.log));
    this.channel = argument(latin1(redisChannel)) + argument(size) + argument(ttlMs);
  }

  /** What was published under an idempotency key. */
  once(key: string): string {
    return argument(latin1(this.#keys.once(key)));
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
  let keys = "";
  let numKeys = 0;
  let numArguments = 4;
  let bytes = CALL_BYTES + terms.script.length;
  for (const { batch, words } of parts) {
    const { items } = batch;
    const key = items[0]?.key;
    keys += words.keys;
    if (key !== undefined) keys += words.once(key);
    numKeys += key === undefined ? 2 : 3;
    numArguments += BATCH_ARGUMENTS + items.length;
    bytes += words.channel.length + BATCH_BYTES + batch.bytes + items.length * ITEM_BYTES;
  }
  const { command, script, freshEpoch, instance, lastTtlMs, onceTtlMs } = terms;
  const writer = new Writer(bytes + keys.length);
  writer.latin1(`*${3 + numKeys + numArguments}\r\n${argument(command)}${argument(script)}${argument(numKeys)}`);
  writer.latin1(keys);
  writer.latin1(argument(freshEpoch) + argument(instance) + argument(lastTtlMs) + argument(onceTtlMs));
  for (const part of parts) writeBatch(writer, part);
  return writer.written;
}

function writeBatch(writer: Writer, { batch, words, seen: [epoch, offset, stamp] }: AppendPart): void {
  const { items, sequence, written } = batch;
  const mode = (written ? "w" : "") + (items[0]?.key === undefined ? "" : "k");
  const seen = argument(epoch) + argument(offset) + argument(stamp);
  writer.latin1(words.channel + seen + argument(sequence) + argument(mode) + argument(items.length));
  for (const { message, bytes } of items) {
    writer.latin1(`$${ENTRY_BYTES + bytes}\r\n`);
    writeEntry(writer, message, bytes);
    writer.latin1("\r\n");
  }
}

/** What became of a batch. */
export type Appended = Error | { readonly epoch: string; readonly offset: number; readonly stamp: number | undefined };

/**
 * What the script answered, for each part. The stamp is that of the last entry, if this call appended it.
 *
 * @throws Error where it is not the script's answer
 */
export function readAppended(answer: unknown, parts: readonly AppendPart[]): Appended[] {
  const [stamp, ...answers] = listOf(answer);
  if (answers.length !== parts.length) throw new Error(`the append script answered ${String(answer)}`);
  return answers.map((one, index) => {
    if (typeof one === "number") return { epoch: parts[index]?.seen[0] ?? "", offset: one, stamp: Number(stamp) };
    const [epoch, offset, isNew] = listOf(one).map(String);
    if (epoch === "") return new Error(offset);
    return { epoch: epoch ?? "", offset: Number(offset), stamp: isNew === "1" ? Number(stamp) : undefined };
  });
}
