import { Problem } from "../errors.ts";
import { byteLength, type Message } from "../message.ts";
import type { Sender } from "./publisher.ts";
import { OutboxBounds, type OutboxTotal } from "./outbox-bounds.ts";
import { isBroken, notify, OutboxQueue, type Batch, type Item, type OutboxPolicy } from "./outbox-queue.ts";

const EXPIRY_CHECK_MS = 100;
/** Once in so many of these checks all queues are looked at, whether or not anything can be too old. */
const LOOK_CHECKS = 50;
/** Above it, and above twice the channels followed here, all queues are looked at each time: idle ones are in the way. */
const MANY_QUEUES = 4096;

export interface OutboxOptions<Extra, Route> extends OutboxPolicy<Extra> {
  readonly total: OutboxTotal;
  /** Makes the route of a new queue. */
  readonly route: (name: string) => Route;
  /** Is called now and then while batches have to be written again. */
  readonly retry: () => void;
  /** The number of channels that are followed here. */
  readonly followed: () => number;
}

/**
 * Messages that wait for the bus and messages that were written to it, bounded, in order for each queue. Each sender is notified
 * once, at the latest after the publish time-out, unless it broke before.
 */
export class Outbox<Extra, Route> {
  readonly #options: OutboxOptions<Extra, Route>;
  readonly #bounds: OutboxBounds;
  readonly #queues = new Map<string, OutboxQueue<Extra, Route>>();
  /** Queues with something to write now; each once, by its `due`. */
  #due: OutboxQueue<Extra, Route>[] = [];
  /** The number of them that were taken. */
  #taken = 0;
  /** Batches that have to be written again, when the bus is back. */
  readonly #failed = new Set<Batch<Extra, Route>>();
  #sequence = 0;
  #expiry: ReturnType<typeof setInterval> | undefined;
  #checks = 0;
  /** None of the messages is older. */
  #oldestMs = Infinity;
  /** True if a sender was refused since the last look: its other messages have to go. */
  #broke = false;
  #onEmpty: (() => void)[] = [];

  constructor(options: OutboxOptions<Extra, Route>) {
    this.#options = options;
    this.#bounds = new OutboxBounds(options.total);
  }

  /** True when so much waits that it is worth a write of its own. */
  get isFull(): boolean {
    return this.#bounds.isWaiting(this.#options.maxBatch, this.#options.maxBatchBytes);
  }

  /**
   * Accepts a message, or refuses it if it has to wait and too much waits already.
   *
   * @returns the queue that took it
   */
  add(name: string, message: Message, extra: Extra, sender: Sender, hasToWait: boolean): OutboxQueue<Extra, Route> | undefined {
    const bytes = byteLength(message);
    if (!this.#bounds.hasRoom(bytes, hasToWait)) {
      this.#broke = true;
      sender.refused(new Problem("queue-full", "Too many messages wait for the bus."));
      return undefined;
    }
    let queue = this.#queues.get(name);
    if (queue === undefined) {
      queue = new OutboxQueue(name, this.#options.route(name), this.#options);
      this.#queues.set(name, queue);
    }
    const acceptedMs = Date.now();
    if (acceptedMs < this.#oldestMs) this.#oldestMs = acceptedMs;
    queue.add({ message, bytes, extra, acceptedMs, sender });
    this.#bounds.added(bytes);
    if (queue.mayWrite) this.#isDue(queue);
    this.#expiry ??= setInterval(() => this.#expire(), EXPIRY_CHECK_MS);
    return queue;
  }

  /** The next batch to write. Each must be `settle`d or reported as `failed`. Undefined if none is due, or too much is unanswered. */
  take(): Batch<Extra, Route> | undefined {
    while (this.#bounds.mayWrite) {
      const queue = this.#due[this.#taken];
      if (queue === undefined) {
        this.#due = [];
        this.#taken = 0;
        return undefined;
      }
      const batch = queue.next((this.#sequence += 1), this.#drop);
      if (batch === undefined || !queue.mayWrite) {
        this.#taken += 1;
        queue.due = false;
      }
      if (batch === undefined) {
        this.#settleEmpty();
        continue;
      }
      batch.state = "unanswered";
      this.#bounds.written(batch.items.length, batch.bytes);
      return batch;
    }
    this.#due.splice(0, this.#taken);
    this.#taken = 0;
    return undefined;
  }

  /** The bus answered. @param report notifies the sender of the message with this index in the batch */
  settle(batch: Batch<Extra, Route>, report: (sender: Sender, index: number) => void): void {
    this.#bounds.answered(batch.items.length, batch.bytes);
    this.#end(batch, report);
  }

  /** The bus refused the whole batch. */
  refuse(batch: Batch<Extra, Route>, problem: Problem): void {
    this.#broke = true;
    this.settle(batch, (sender) => sender.refused(problem));
  }

  /** Nobody knows whether the batch was written. */
  failed(batch: Batch<Extra, Route>): void {
    if (!this.#options.rewrites) {
      this.refuse(batch, new Problem("not-confirmed", "The bus did not confirm the message; it may still arrive."));
      return;
    }
    this.#bounds.answered(batch.items.length, batch.bytes);
    if (!batch.queue.holds(batch)) return; // the outbox was closed
    batch.repeated = true;
    batch.state = "failed";
    if (batch.items.every(isBroken)) this.#end(batch, () => undefined);
    else this.#failed.add(batch);
  }

  /** From now on `take` gives also the batches that failed. */
  retry(): void {
    for (const { queue } of this.#failed) this.#isDue(queue);
    this.#failed.clear();
  }

  /** Resolves once nothing waits and nothing is unanswered. */
  empty(): Promise<void> {
    return new Promise((resolve) => {
      this.#onEmpty.push(resolve);
      this.#settleEmpty();
    });
  }

  /** Refuses everything that waits or is unanswered. */
  close(problem: Problem): void {
    for (const queue of this.#queues.values()) {
      const items = queue.clear();
      for (const item of items) this.#drop(item);
      for (const item of items) notify(item, (sender) => sender.refused(problem));
    }
    this.#queues.clear();
    this.#due = [];
    this.#taken = 0;
    this.#failed.clear();
    this.#settleEmpty();
  }

  #isDue(queue: OutboxQueue<Extra, Route>): void {
    if (queue.due) return;
    queue.due = true;
    this.#due.push(queue);
  }

  readonly #drop = ({ bytes }: { readonly bytes: number }): void => this.#bounds.removed(1, bytes);

  #end(batch: Batch<Extra, Route>, report: (sender: Sender, index: number) => void): void {
    const { queue, items, bytes } = batch;
    if (!queue.holds(batch)) return; // the outbox was closed
    queue.end(batch);
    this.#bounds.removed(items.length, bytes);
    // Before the senders, who may publish again at once.
    if (queue.mayWrite) this.#isDue(queue);
    let index = 0;
    for (const item of items) {
      notify(item, report, index);
      index += 1;
    }
    this.#settleEmpty();
  }

  #expire(): void {
    const before = Date.now() - this.#options.total.timeoutMs;
    this.#checks += 1;
    const isCrowded = this.#queues.size > Math.max(MANY_QUEUES, 2 * this.#options.followed());
    // With many queues a look costs, and mostly nothing is as old as that.
    if (this.#oldestMs <= before || this.#broke || isCrowded || this.#checks % LOOK_CHECKS === 0) this.#look(before);
    this.#dropIdle();
    this.#giveUp();
    if (this.#failed.size > 0) this.#options.retry();
    this.#settleEmpty();
  }

  #look(before: number): void {
    this.#broke = false;
    this.#oldestMs = Infinity;
    for (const queue of this.#queues.values()) {
      if (queue.isIdle) this.#rest(queue);
      else this.#oldestMs = Math.min(this.#oldestMs, queue.expire(before, this.#drop, this.#refuse));
    }
  }

  /** Keeps an idle queue for a moment: where something was published, more will be. */
  #rest(queue: OutboxQueue<Extra, Route>): void {
    if (!queue.used) this.#queues.delete(queue.name);
    queue.used = false;
  }

  /** Drops due queues that have nothing to write any more: while the bus is away nobody takes them. */
  #dropIdle(): void {
    const due = this.#due.slice(this.#taken);
    this.#taken = 0;
    this.#due = due.filter((queue) => {
      queue.due = !queue.isIdle;
      return queue.due;
    });
  }

  readonly #refuse = (item: Item<Extra>, problem: Problem): void => {
    this.#broke = true;
    notify(item, (sender) => sender.refused(problem));
  };

  /** A failed batch for which nobody waits any more is not written again. */
  #giveUp(): void {
    for (const batch of this.#failed) {
      if (!batch.items.every(isBroken)) continue;
      this.#failed.delete(batch);
      this.#end(batch, () => undefined);
    }
  }

  #settleEmpty(): void {
    if (this.#queues.size === 0) {
      clearInterval(this.#expiry);
      this.#expiry = undefined;
    }
    if (!this.#bounds.isEmpty || this.#onEmpty.length === 0) return;
    const resolvers = this.#onEmpty;
    this.#onEmpty = [];
    for (const resolve of resolvers) resolve();
  }
}
