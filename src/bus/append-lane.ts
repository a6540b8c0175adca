import { Problem } from "../errors.ts";
import type { Message } from "../message.ts";
import type { Retention } from "../position.ts";
import type { LaneWords } from "./append-call.ts";
import type { AppendLoad } from "./append-load.ts";
import type { Sender } from "./bus.ts";
import type { Seen } from "./evidence.ts";

/** A message on its way to a log. */
export interface Item {
  readonly message: Message;
  /** Of its payload. */
  readonly bytes: number;
  readonly key: string | undefined;
  readonly acceptedMs: number;
  /** Undefined once it was told. */
  sender: Sender | undefined;
}

/** Messages that are appended together or not at all, always under the same sequence. */
export interface AppendBatch {
  readonly lane: Lane;
  /** Grows with each batch of this instance. */
  readonly sequence: number;
  readonly items: readonly Item[];
  readonly bytes: number;
  /** Whether it was written before, and nobody knows what became of that. */
  repeated: boolean;
}

/** What is written at a time: to one channel, and to all in one step. */
export const MAX_BATCH = 256;
export const MAX_BATCH_BYTES = 256 * 1024;

/** What waits for one channel. One batch of it is on its way at a time, so that a batch that is written again stays in its place. */
export class Lane {
  readonly channel: string;
  batch: AppendBatch | undefined;
  /** How Redis calls it, once that has been put into words; not where its retention changes. */
  words: LaneWords | undefined;
  /** What was seen of its log, once somebody asked. */
  seen: Seen | undefined;
  /** Whether it is among those that have something to write now. */
  due = false;
  /** Whether anything came since the last look. */
  used = true;
  #retention: Retention;
  #waiting: Item[] = [];

  constructor(channel: string, retention: Retention) {
    this.channel = channel;
    this.#retention = retention;
  }

  get retention(): Retention {
    return this.#retention;
  }

  get waits(): boolean {
    return this.#waiting.length > 0;
  }

  get isIdle(): boolean {
    return this.batch === undefined && this.#waiting.length === 0;
  }

  add(item: Item, retention: Retention): void {
    if (this.#retention !== retention) {
      this.#retention = retention;
      this.words = undefined;
    }
    this.used = true;
    this.#waiting.push(item);
  }

  /** The next batch, if anything waits for which somebody waits. */
  form(sequence: number, load: AppendLoad): AppendBatch | undefined {
    const waiting = this.#waiting;
    const items: Item[] = [];
    let taken = 0;
    let bytes = 0;
    for (const item of waiting) {
      if (isBroken(item)) {
        // After a refusal nothing of the same sender may follow: it would arrive behind a hole.
        load.give([item]);
        taken += 1;
        continue;
      }
      // What has a key of its own stands alone: it may turn out to be published already.
      if (items.length > 0 && (item.key !== undefined || items[0]?.key !== undefined)) break;
      if (items.length === MAX_BATCH || (items.length > 0 && bytes + item.bytes > MAX_BATCH_BYTES)) break;
      items.push(item);
      taken += 1;
      bytes += item.bytes;
    }
    if (taken === waiting.length) this.#waiting = [];
    else waiting.splice(0, taken);
    return items.length === 0 ? undefined : { lane: this, sequence, items, bytes, repeated: false };
  }

  /**
   * Refuses what was accepted at that time or before, and lets go what was not written of it.
   *
   * @returns when the oldest of the messages was accepted that are left and whose senders were not told; Infinity where none is
   */
  expire(beforeMs: number, load: AppendLoad, refuse: (item: Item, problem: Problem) => void): number {
    const waiting = this.#waiting;
    const written = this.batch?.items ?? [];
    for (const item of written) {
      if (item.acceptedMs > beforeMs) break;
      refuse(item, new Problem("not-confirmed", "The bus did not confirm the message in time; it may still arrive."));
    }
    if (waiting[0] !== undefined && isPast(waiting[0], beforeMs)) {
      const first = waiting.findIndex((item) => !isPast(item, beforeMs));
      const expired = waiting.splice(0, first === -1 ? waiting.length : first);
      load.give(expired);
      for (const item of expired) refuse(item, new Problem("bus-away", "The bus was away for too long."));
    }
    return (written.find(({ acceptedMs }) => acceptedMs > beforeMs) ?? waiting[0])?.acceptedMs ?? Infinity;
  }

  /** Lets go everything, written or not. */
  clear(): Item[] {
    const items = [...(this.batch?.items ?? []), ...this.#waiting];
    this.batch = undefined;
    this.#waiting = [];
    return items;
  }
}

/** Whether it does not wait any more: it is too old, or nobody waits for it. */
function isPast(item: Item, beforeMs: number): boolean {
  return item.acceptedMs <= beforeMs || isBroken(item);
}

/** Nobody waits for it: its sender was told, or dropped out for an earlier message. */
export function isBroken({ sender }: Item): boolean {
  return sender?.broken !== false;
}

/** Tells a sender, once; one that was told of a failure is not told of another. */
export function tell(item: Item, say: (sender: Sender, index: number) => void, index = 0): void {
  const { sender } = item;
  item.sender = undefined;
  if (sender?.broken === false) say(sender, index);
}
