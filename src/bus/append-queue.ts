import { Problem } from "../errors.ts";
import { byteLength, type Message } from "../message.ts";
import type { Retention } from "../position.ts";
import type { Allowance } from "./allowance.ts";
import { isBroken, Lane, tell, type AppendBatch, type Item } from "./append-lane.ts";
import { AppendLoad } from "./append-load.ts";
import type { Sender } from "./bus.ts";

/** What may be written and unanswered. */
const MAX_UNANSWERED_BYTES = 32 * 1024 * 1024;
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
  readonly #load: AppendLoad;
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
    this.#load = new AppendLoad(allowance);
    this.#retry = retry;
    this.#followed = followed;
  }

  /** Takes a message in, or refuses it where it has to wait and too much waits already. */
  add(channel: string, retention: Retention, message: Message, key: string | undefined, sender: Sender, hasToWait: boolean): void {
    const bytes = byteLength(message);
    if (!this.#load.hasRoom(bytes, hasToWait)) {
      this.#broke = true;
      sender.refused(new Problem("queue-full", "Too many messages wait for the bus."));
      return;
    }
    let lane = this.#lanes.get(channel);
    if (lane === undefined) {
      lane = new Lane(channel, retention);
      this.#lanes.set(channel, lane);
    }
    const acceptedMs = Date.now();
    if (acceptedMs < this.#oldestMs) this.#oldestMs = acceptedMs;
    lane.add({ message, bytes, key, acceptedMs, sender }, retention);
    this.#load.take(bytes);
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
      const batch = lane.batch ?? lane.form((this.#sequence += 1), this.#load);
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
      const items = lane.clear();
      this.#load.give(items);
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

  #end(batch: AppendBatch, say: (sender: Sender, index: number) => void): void {
    const { lane, items } = batch;
    if (lane.batch !== batch) return; // the queue was closed
    lane.batch = undefined;
    this.#load.give(items);
    // Told last: a sender may publish again at once.
    if (lane.waits) this.#isDue(lane);
    let index = 0;
    for (const item of items) {
      tell(item, say, index);
      index += 1;
    }
    this.#settleEmpty();
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
      if (lane.isIdle) this.#rest(lane);
      else this.#oldestMs = Math.min(this.#oldestMs, lane.expire(before, this.#load, this.#refuse));
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
      lane.due = !lane.isIdle;
      return lane.due;
    });
  }

  readonly #refuse = (item: Item, problem: Problem): void => {
    this.#broke = true;
    tell(item, (sender) => sender.refused(problem));
  };

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
    if (!this.#load.isEmpty || this.#onEmpty.length === 0) return;
    const resolvers = this.#onEmpty;
    this.#onEmpty = [];
    for (const resolve of resolvers) resolve();
  }
}
