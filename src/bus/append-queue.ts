import { Problem } from "../errors.ts";
import { byteLength, type Message } from "../message.ts";
import type { Retention } from "../position.ts";
import type { Allowance } from "./allowance.ts";
import type { LaneWords } from "./append-call.ts";
import type { Sender } from "./bus.ts";
import type { Seen } from "./evidence.ts";

/** A message on its way to a log. */
interface Item {
  readonly message: Message;
  /** Of its payload. */
  readonly bytes: number;
  readonly key: string | undefined;
  readonly acceptedMs: number;
  /** Undefined once it was told. */
  sender: Sender | undefined;
}

/** What waits for one channel. One batch of it is on its way at a time, so that a batch that is written again stays in its place. */
export interface Lane {
  readonly channel: string;
  retention: Retention;
  waiting: Item[];
  batch: AppendBatch | undefined;
  /** How Redis calls it, once that has been put into words; not where its retention changes. */
  words: LaneWords | undefined;
  /** What was seen of its log, once somebody asked. */
  seen: Seen | undefined;
  /** Whether it is among those that have something to write now. */
  due: boolean;
  /** Whether anything came since the last look. */
  used: boolean;
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
// What may be written and unanswered, and what may be on its way altogether before a message counts as one that has to wait.
const MAX_UNANSWERED_BYTES = 32 * 1024 * 1024;
const MAX_PENDING = 65_536;
const MAX_PENDING_BYTES = 32 * 1024 * 1024;
const EXPIRY_CHECK_MS = 100;
/** Every so many of these checks there is a look at all lanes, whether something can be too old or not. */
const LOOK_CHECKS = 50;
/** Above it, and above twice as many as channels are followed here, there is a look each time: those without messages are in the way. */
const MANY_LANES = 4096;

/**
 * What waits for the logs of channels and what was written to them, in order for each channel. A batch whose answer was lost is
 * written again as it was: the log knows it by its sequence. Each sender is told once, unless it is broken before, at the latest after the publish time-out.
 */
export class AppendQueue {
  readonly #allowance: Allowance;
  readonly #retry: () => void;
  readonly #followed: () => number;
  readonly #lanes = new Map<string, Lane>();
  /** Lanes with something to write now; each once, by its `due`. */
  #due: Lane[] = [];
  /** How many of them were taken. */
  #taken = 0;
  /** Lanes whose batch has to be written again, when the bus is back. */
  readonly #failed = new Set<Lane>();
  #sequence = 0;
  #pending = 0;
  #pendingBytes = 0;
  #unansweredBytes = 0;
  #expiry: ReturnType<typeof setInterval> | undefined;
  #checks = 0;
  /** None of the messages is older. */
  #oldestMs = Infinity;
  /** Whether a sender was refused since the last look: what else it has here is to go. */
  #broke = false;
  #onEmpty: (() => void)[] = [];

  /**
   * @param retry is called now and then while batches have to be written again
   * @param followed how many channels are followed here
   */
  constructor(allowance: Allowance, retry: () => void, followed: () => number) {
    this.#allowance = allowance;
    this.#retry = retry;
    this.#followed = followed;
  }

  /** Takes a message in, or refuses it where it has to wait and too much waits already. */
  add(channel: string, retention: Retention, message: Message, key: string | undefined, sender: Sender, hasToWait: boolean): void {
    const bytes = byteLength(message);
    const crowded = this.#pending >= MAX_PENDING || this.#pendingBytes >= MAX_PENDING_BYTES;
    if ((hasToWait || crowded) && !this.#allowance.hasRoom(bytes)) {
      this.#broke = true;
      sender.refused(new Problem("queue-full", "Too many messages wait for the bus."));
      return;
    }
    const lane = this.#lane(channel, retention);
    const acceptedMs = Date.now();
    if (acceptedMs < this.#oldestMs) this.#oldestMs = acceptedMs;
    lane.waiting.push({ message, bytes, key, acceptedMs, sender });
    this.#allowance.take(1, bytes);
    this.#pending += 1;
    this.#pendingBytes += bytes;
    if (lane.batch === undefined) this.#isDue(lane);
    this.#expiry ??= setInterval(() => this.#expire(), EXPIRY_CHECK_MS);
  }

  /** The next batch to write, or undefined. Each must be `confirmed`, `refused` or `failed`. */
  take(): AppendBatch | undefined {
    while (this.#unansweredBytes < MAX_UNANSWERED_BYTES) {
      const lane = this.#due[this.#taken];
      if (lane === undefined) {
        this.#due = [];
        this.#taken = 0;
        return undefined;
      }
      this.#taken += 1;
      lane.due = false;
      const batch = lane.batch ?? this.#form(lane);
      if (batch === undefined) {
        this.#settleEmpty();
        continue;
      }
      lane.batch = batch;
      this.#unansweredBytes += batch.bytes;
      return batch;
    }
    this.#due.splice(0, this.#taken);
    this.#taken = 0;
    return undefined;
  }

  /** @param offset that of the batch's last message */
  confirmed(batch: AppendBatch, epoch: string, offset: number): void {
    this.#unansweredBytes -= batch.bytes;
    const first = offset - batch.items.length + 1;
    this.#end(batch, (sender, index) => sender.confirmed({ epoch, offset: first + index }));
  }

  refused(batch: AppendBatch, problem: Problem): void {
    this.#unansweredBytes -= batch.bytes;
    this.#broke = true;
    this.#end(batch, (sender) => sender.refused(problem));
  }

  /** Nobody knows whether it was written: it will be written again, if one of its senders still waits. */
  failed(batch: AppendBatch): void {
    this.#unansweredBytes -= batch.bytes;
    if (batch.lane.batch !== batch) return; // the queue was closed
    batch.repeated = true;
    if (batch.items.every(isBroken)) this.#end(batch, () => undefined);
    else this.#failed.add(batch.lane);
  }

  /** From now on `take` gives those that failed, too. */
  retry(): void {
    for (const lane of this.#failed) this.#isDue(lane);
    this.#failed.clear();
  }

  /** Resolves once nothing waits and nothing is unanswered. */
  empty(): Promise<void> {
    return new Promise((resolve) => {
      this.#onEmpty.push(resolve);
      this.#settleEmpty();
    });
  }

  /** Refuses all that waits, and all that is unanswered. */
  close(problem: Problem): void {
    for (const lane of this.#lanes.values()) {
      const items = [...(lane.batch?.items ?? []), ...lane.waiting];
      lane.batch = undefined;
      this.#forget(items);
      for (const item of items) tell(item, (sender) => sender.refused(problem));
    }
    this.#lanes.clear();
    this.#due = [];
    this.#taken = 0;
    this.#failed.clear();
    this.#settleEmpty();
  }

  #isDue(lane: Lane): void {
    if (lane.due) return;
    lane.due = true;
    this.#due.push(lane);
  }

  #lane(channel: string, retention: Retention): Lane {
    let lane = this.#lanes.get(channel);
    if (lane === undefined) {
      lane = { channel, retention, waiting: [], batch: undefined, words: undefined, seen: undefined, due: false, used: true };
      this.#lanes.set(channel, lane);
    }
    if (lane.retention !== retention) {
      lane.retention = retention;
      lane.words = undefined;
    }
    lane.used = true;
    return lane;
  }

  #form(lane: Lane): AppendBatch | undefined {
    const { waiting } = lane;
    const items: Item[] = [];
    let taken = 0;
    let bytes = 0;
    for (const item of waiting) {
      if (isBroken(item)) {
        // After a refusal nothing of the same sender may follow: it would arrive behind a hole.
        this.#forget([item]);
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
    if (taken === waiting.length) lane.waiting = [];
    else waiting.splice(0, taken);
    return items.length === 0 ? undefined : { lane, sequence: (this.#sequence += 1), items, bytes, repeated: false };
  }

  #end(batch: AppendBatch, say: (sender: Sender, index: number) => void): void {
    const { lane, items } = batch;
    if (lane.batch !== batch) return; // the queue was closed
    lane.batch = undefined;
    this.#forget(items);
    // Told last: a sender may publish again at once.
    if (lane.waiting.length > 0) this.#isDue(lane);
    let index = 0;
    for (const item of items) {
      tell(item, say, index);
      index += 1;
    }
    this.#settleEmpty();
  }

  #forget(items: readonly Item[]): void {
    let bytes = 0;
    for (const item of items) bytes += item.bytes;
    this.#allowance.give(items.length, bytes);
    this.#pending -= items.length;
    this.#pendingBytes -= bytes;
  }

  #expire(): void {
    const before = Date.now() - this.#allowance.timeoutMs;
    this.#checks += 1;
    const crowded = this.#lanes.size > Math.max(MANY_LANES, 2 * this.#followed());
    // With many lanes a look costs, and mostly nothing is as old as that.
    if (this.#oldestMs <= before || this.#broke || crowded || this.#checks % LOOK_CHECKS === 0) this.#look(before);
    this.#dropIdle();
    this.#giveUp();
    if (this.#failed.size > 0) this.#retry();
    this.#settleEmpty();
  }

  #look(before: number): void {
    this.#broke = false;
    this.#oldestMs = Infinity;
    for (const lane of this.#lanes.values()) {
      if (lane.batch === undefined && lane.waiting.length === 0) this.#rest(lane);
      else this.#oldestMs = Math.min(this.#oldestMs, this.#expireLane(lane, before));
    }
  }

  /** A lane is kept for a moment: where something was published more will be. */
  #rest(lane: Lane): void {
    if (!lane.used) this.#lanes.delete(lane.channel);
    lane.used = false;
  }

  /** While the bus is away nobody takes those that have nothing to write any more. */
  #dropIdle(): void {
    const due = this.#due.slice(this.#taken);
    this.#taken = 0;
    this.#due = due.filter((lane) => {
      lane.due = lane.batch !== undefined || lane.waiting.length > 0;
      return lane.due;
    });
  }

  /** Returns when the oldest of the messages was accepted that are left and whose senders were not told. */
  #expireLane(lane: Lane, before: number): number {
    const { waiting } = lane;
    const written = lane.batch?.items ?? [];
    for (const item of written) {
      if (item.acceptedMs > before) break;
      this.#refuse(item, new Problem("not-confirmed", "The bus did not confirm the message in time; it may still arrive."));
    }
    if (waiting[0] !== undefined && isPast(waiting[0], before)) {
      const first = waiting.findIndex((item) => !isPast(item, before));
      const expired = waiting.splice(0, first === -1 ? waiting.length : first);
      this.#forget(expired);
      for (const item of expired) this.#refuse(item, new Problem("bus-away", "The bus was away for too long."));
    }
    return (written.find(({ acceptedMs }) => acceptedMs > before) ?? waiting[0])?.acceptedMs ?? Infinity;
  }

  #refuse(item: Item, problem: Problem): void {
    this.#broke = true;
    tell(item, (sender) => sender.refused(problem));
  }

  /** A failed batch for which nobody waits any more is not written again. */
  #giveUp(): void {
    for (const lane of this.#failed) {
      if (lane.batch?.items.every(isBroken) === false) continue;
      this.#failed.delete(lane);
      if (lane.batch !== undefined) this.#end(lane.batch, () => undefined);
    }
  }

  #settleEmpty(): void {
    if (this.#lanes.size === 0) {
      clearInterval(this.#expiry);
      this.#expiry = undefined;
    }
    if (this.#pending > 0 || this.#onEmpty.length === 0) return;
    const resolvers = this.#onEmpty;
    this.#onEmpty = [];
    for (const resolve of resolvers) resolve();
  }
}

/** Whether it does not wait any more: it is too old, or nobody waits for it. */
function isPast(item: Item, before: number): boolean {
  return item.acceptedMs <= before || isBroken(item);
}

/** Nobody waits for it: its sender was told, or dropped out for an earlier message. */
function isBroken({ sender }: Item): boolean {
  return sender?.broken !== false;
}

/** Tells a sender, once; one that was told of a failure is not told of another. */
function tell(item: Item, say: (sender: Sender, index: number) => void, index = 0): void {
  const { sender } = item;
  item.sender = undefined;
  if (sender?.broken === false) say(sender, index);
}
