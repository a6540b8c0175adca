import { Problem } from "../errors.ts";
import type { Message } from "../message.ts";
import type { Sender } from "./publisher.ts";

/** A message on its way to the bus. */
export interface Item<Extra> {
  readonly message: Message;
  /** The size of its payload. */
  readonly bytes: number;
  /** Whatever else its writer needs. */
  readonly extra: Extra;
  readonly acceptedMs: number;
  /** Undefined once it was notified. */
  sender: Sender | undefined;
}

/** Messages of one queue that are written together. */
export interface Batch<Extra, Route> {
  readonly queue: OutboxQueue<Extra, Route>;
  /** Grows with each batch of an outbox. */
  readonly sequence: number;
  readonly items: readonly Item<Extra>[];
  readonly bytes: number;
  state: "unanswered" | "failed";
  /** True for a batch that was written before, and nobody knows what became of that. */
  repeated: boolean;
}

/** The way in which an outbox treats each of its queues. */
export interface OutboxPolicy<Extra> {
  /** Batches of a queue that may be unanswered at a time. With one, a batch that is written again stays in its place. */
  readonly inFlight: "one" | "many";
  /** True: a batch whose answer was lost is written again as it was. False: its senders are refused. */
  readonly rewrites: boolean;
  readonly maxBatch: number;
  readonly maxBatchBytes: number;
  /** An item that shares no batch with others. */
  readonly standsAlone?: (item: Item<Extra>) => boolean;
}

/** The messages that wait in one place of an outbox, and those of them that were written, in order. */
export class OutboxQueue<Extra, Route> {
  readonly name: string;
  /** Whatever its writer needs to know about it. */
  readonly route: Route;
  /** True while it is among the queues that have something to write now. */
  due = false;
  /** True if anything came since the last look. */
  used = true;
  readonly #policy: OutboxPolicy<Extra>;
  #waiting: Item<Extra>[] = [];
  /** The number of them that are gone already. */
  #head = 0;
  /** The oldest first. */
  #inFlight: Batch<Extra, Route>[] = [];

  constructor(name: string, route: Route, policy: OutboxPolicy<Extra>) {
    this.name = name;
    this.route = route;
    this.#policy = policy;
  }

  get isIdle(): boolean {
    return this.#inFlight.length === 0 && !this.#waits;
  }

  /** True if a batch may be written now. */
  get mayWrite(): boolean {
    return this.#waits && (this.#policy.inFlight === "many" || this.#inFlight.length === 0);
  }

  holds(batch: Batch<Extra, Route>): boolean {
    return this.#inFlight.includes(batch);
  }

  add(item: Item<Extra>): void {
    this.used = true;
    this.#waiting.push(item);
  }

  /**
   * The batch that has to be written next: the oldest one that failed, or a new one, if anybody waits for it.
   *
   * @param dropped hears of messages for which nobody waits
   */
  next(sequence: number, dropped: (item: Item<Extra>) => void): Batch<Extra, Route> | undefined {
    const again = this.#inFlight.find(({ state }) => state === "failed");
    if (again !== undefined) return again;
    if (!this.mayWrite) return undefined;
    const { maxBatch, maxBatchBytes, standsAlone } = this.#policy;
    const items: Item<Extra>[] = [];
    let bytes = 0;
    for (let item = this.#waiting[this.#head]; item !== undefined; item = this.#waiting[this.#head]) {
      if (isBroken(item)) {
        // After a refusal nothing of the same sender may follow: it would arrive behind a hole.
        this.#head += 1;
        dropped(item);
        continue;
      }
      const first = items[0];
      if (first !== undefined) {
        if (items.length === maxBatch || bytes + item.bytes > maxBatchBytes) break;
        if (standsAlone !== undefined && (standsAlone(item) || standsAlone(first))) break;
      }
      this.#head += 1;
      items.push(item);
      bytes += item.bytes;
    }
    this.#cut();
    if (items.length === 0) return undefined;
    const batch: Batch<Extra, Route> = { queue: this, sequence, items, bytes, state: "unanswered", repeated: false };
    this.#inFlight.push(batch);
    return batch;
  }

  /** Removes a batch that is settled. */
  end(batch: Batch<Extra, Route>): void {
    if (this.#inFlight[0] === batch) this.#inFlight.shift();
    else this.#inFlight = this.#inFlight.filter((other) => other !== batch);
  }

  /**
   * Refuses messages that were accepted at that time or before, and drops those of them that were not written.
   *
   * @returns when the oldest remaining message was accepted whose sender was not notified; Infinity without one
   */
  expire(beforeMs: number, dropped: (item: Item<Extra>) => void, refuse: (item: Item<Extra>, problem: Problem) => void): number {
    let oldestMs = Infinity;
    for (const { items } of this.#inFlight) {
      for (const item of items) {
        if (item.acceptedMs > beforeMs) {
          oldestMs = Math.min(oldestMs, item.acceptedMs);
          break;
        }
        refuse(item, new Problem("not-confirmed", "The bus did not confirm the message in time; it may still arrive."));
      }
    }
    for (let item = this.#waiting[this.#head]; item !== undefined; item = this.#waiting[this.#head]) {
      if (item.acceptedMs > beforeMs && !isBroken(item)) {
        oldestMs = Math.min(oldestMs, item.acceptedMs);
        break;
      }
      this.#head += 1;
      dropped(item);
      refuse(item, new Problem("bus-away", "The bus was away for too long."));
    }
    this.#cut();
    return oldestMs;
  }

  /** Removes and returns everything, written or not. */
  clear(): Item<Extra>[] {
    const items = [...this.#inFlight.flatMap((batch) => batch.items), ...this.#waiting.slice(this.#head)];
    this.#inFlight = [];
    this.#waiting = [];
    this.#head = 0;
    return items;
  }

  get #waits(): boolean {
    return this.#head < this.#waiting.length;
  }

  /** Frees the consumed part now and then: an array's own shift moves everything each time. */
  #cut(): void {
    if (this.#head === this.#waiting.length) this.#waiting = [];
    else if (this.#head <= 1024 || this.#head * 2 <= this.#waiting.length) return;
    else this.#waiting = this.#waiting.slice(this.#head);
    this.#head = 0;
  }
}

/** Nobody waits for it: its sender was notified, or gave up after an earlier message. */
export function isBroken({ sender }: Item<unknown>): boolean {
  return sender?.broken !== false;
}

/** Notifies a sender, once; a sender that heard of a failure hears of no other. */
export function notify<Extra>(item: Item<Extra>, report: (sender: Sender, index: number) => void, index = 0): void {
  const { sender } = item;
  item.sender = undefined;
  if (sender?.broken === false) report(sender, index);
}
