import { Problem } from "../errors.ts";
import type { Allowance } from "./allowance.ts";
import type { Sender } from "./bus.ts";

/** A message on its way to the bus. */
export interface Pending {
  /** How its command begins. */
  readonly head: Buffer;
  readonly payload: string | Buffer;
  readonly bytes: number;
  readonly acceptedMs: number;
  /** Undefined once it was told. */
  sender: Sender | undefined;
}

/** One write of several messages. */
export interface Batch {
  readonly items: readonly Pending[];
  readonly bytes: number;
}

// What may be written and unanswered: enough that a healthy Redis is never waited for, and a bound for one that hangs.
const MAX_UNANSWERED = 65_536;
const MAX_UNANSWERED_BYTES = 32 * 1024 * 1024;
const MAX_BATCH = 1024;
const MAX_BATCH_BYTES = 1024 * 1024;
const EXPIRY_CHECK_MS = 100;

/**
 * What waits for the bus and what was written to it, first in, first out. Bounded in messages and bytes; each sender is told
 * once, at the latest after the publish time-out.
 */
export class PublishQueue {
  readonly #allowance: Allowance;
  #waiting: Pending[] = [];
  #head = 0;
  #waitingBytes = 0;
  readonly #unanswered = new Set<Batch>();
  #unansweredCount = 0;
  #unansweredBytes = 0;
  #expiry: ReturnType<typeof setInterval> | undefined;
  #onEmpty: (() => void)[] = [];

  constructor(allowance: Allowance) {
    this.#allowance = allowance;
  }

  get waiting(): number {
    return this.#waiting.length - this.#head;
  }

  /** True when so many messages can be taken at once that it is time to write them. */
  get full(): boolean {
    return this.waiting >= MAX_BATCH || this.#waitingBytes >= MAX_BATCH_BYTES;
  }

  /** Takes a message in, or refuses it where it has to wait and too much waits already. */
  add(head: Buffer, payload: string | Buffer, sender: Sender, hasToWait: boolean): void {
    const bytes = typeof payload === "string" ? Buffer.byteLength(payload) : payload.length;
    if ((hasToWait || this.#congested(0, 0)) && !this.#allowance.hasRoom(bytes)) {
      sender.refused(new Problem("queue-full", "Too many messages wait for the bus."));
      return;
    }
    this.#waiting.push({ head, payload, bytes, acceptedMs: Date.now(), sender });
    this.#waitingBytes += bytes;
    this.#allowance.take(1, bytes);
    this.#expiry ??= setInterval(() => this.#expire(), EXPIRY_CHECK_MS);
  }

  /** The next messages to write, or undefined where none waits or enough is unanswered. Each batch must be `settled`. */
  take(): Batch | undefined {
    const items: Pending[] = [];
    let bytes = 0;
    while (items.length < MAX_BATCH && bytes < MAX_BATCH_BYTES) {
      if (this.#congested(items.length, bytes)) break;
      const item = this.#shift();
      if (item === undefined) break;
      // After a refusal nothing of the same sender may follow: it would arrive behind a hole.
      if (item.sender === undefined || item.sender.broken) continue;
      items.push(item);
      bytes += item.bytes;
    }
    if (items.length === 0) {
      this.#settleEmpty();
      return undefined;
    }
    const batch = { items, bytes };
    this.#unanswered.add(batch);
    this.#unansweredCount += items.length;
    this.#unansweredBytes += bytes;
    return batch;
  }

  /** Tells the senders of a batch: `failed(i)` is what went wrong with its message `i`, undefined if nothing. */
  settle(batch: Batch, failed: (index: number) => Problem | undefined): void {
    this.#unanswered.delete(batch);
    this.#unansweredCount -= batch.items.length;
    this.#unansweredBytes -= batch.bytes;
    let index = 0;
    for (const item of batch.items) {
      const sender = item.sender;
      item.sender = undefined;
      const problem = failed(index);
      index += 1;
      if (problem === undefined) sender?.confirmed(null);
      else sender?.refused(problem);
    }
    this.#settleEmpty();
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
    for (const batch of this.#unanswered) this.#refuse(batch.items, problem);
    this.#refuse(this.#waiting.slice(this.#head), problem);
    this.#drop();
    this.#unanswered.clear();
    this.#unansweredCount = 0;
    this.#unansweredBytes = 0;
    this.#settleEmpty();
  }

  /** Whether nothing may be written beyond what is unanswered and so much more. */
  #congested(count: number, bytes: number): boolean {
    return this.#unansweredCount + count >= MAX_UNANSWERED || this.#unansweredBytes + bytes >= MAX_UNANSWERED_BYTES;
  }

  #shift(): Pending | undefined {
    const item = this.#waiting[this.#head];
    if (item === undefined) {
      this.#drop();
      return undefined;
    }
    this.#head += 1;
    this.#waitingBytes -= item.bytes;
    this.#allowance.give(1, item.bytes);
    // Cut the consumed part off now and then: an array's own shift moves everything each time.
    if (this.#head > 1024 && this.#head * 2 > this.#waiting.length) {
      this.#waiting = this.#waiting.slice(this.#head);
      this.#head = 0;
    }
    return item;
  }

  #drop(): void {
    this.#allowance.give(this.waiting, this.#waitingBytes);
    this.#waiting = [];
    this.#head = 0;
    this.#waitingBytes = 0;
  }

  #expire(): void {
    const before = Date.now() - this.#allowance.timeoutMs;
    for (const batch of this.#unanswered) {
      if ((batch.items[0]?.acceptedMs ?? 0) > before) break;
      this.#refuse(
        batch.items.filter((item) => item.acceptedMs <= before),
        new Problem("not-confirmed", "The bus did not confirm the message in time; it may still arrive."),
      );
    }
    for (let item = this.#waiting[this.#head]; item !== undefined; item = this.#waiting[this.#head]) {
      if (item.acceptedMs > before && item.sender?.broken === false) break;
      this.#shift();
      this.#refuse([item], new Problem("bus-away", "The bus was away for too long."));
    }
    this.#settleEmpty();
  }

  #refuse(items: readonly Pending[], problem: Problem): void {
    for (const item of items) {
      const sender = item.sender;
      item.sender = undefined;
      if (sender?.broken === false) sender.refused(problem);
    }
  }

  #settleEmpty(): void {
    if (this.waiting > 0 || this.#unanswered.size > 0) return;
    clearInterval(this.#expiry);
    this.#expiry = undefined;
    const resolvers = this.#onEmpty;
    this.#onEmpty = [];
    for (const resolve of resolvers) resolve();
  }
}
