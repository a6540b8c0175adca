import type { Faults } from "./plan.ts";

/** One channel's messages: how many there were, and who still waits for those in flight. */
export class ChannelLedger {
  published = 0;
  readonly #sequences: Int32Array;
  readonly #waiting: Int32Array;
  readonly #mask: number;

  constructor(window: number) {
    const slots = 2 ** Math.ceil(Math.log2(window * 2));
    this.#mask = slots - 1;
    this.#sequences = new Int32Array(slots);
    this.#waiting = new Int32Array(slots);
  }

  /** Numbers the next message, for which so many wait. */
  publish(subscribers: number): number {
    this.published += 1;
    this.#sequences[this.published & this.#mask] = this.published;
    this.#waiting[this.published & this.#mask] = subscribers;
    return this.published;
  }

  /** One of them has it; true when it was the last. */
  delivered(sequence: number): boolean {
    const slot = sequence & this.#mask;
    if (this.#sequences[slot] !== sequence) return false;
    const waiting = (this.#waiting[slot] ?? 0) - 1;
    this.#waiting[slot] = waiting;
    return waiting === 0;
  }

  /** Nobody is waited for any more. */
  giveUp(): void {
    this.#sequences.fill(0);
  }
}

/** What one subscriber got of its channel, to the message. */
export class SubscriberLedger {
  #last = 0;
  #missing: Set<number> | undefined;
  #closedAt: number | undefined;
  doubled = 0;
  reordered = 0;
  strange = 0;

  /** Takes a delivery; true unless it had it before or it was never sent. */
  take(sequence: number, published: number): boolean {
    if (sequence === this.#last + 1 && sequence <= published) {
      this.#last = sequence;
      return true;
    }
    return this.#takeOther(sequence, published);
  }

  /** The server ended it: what is published from now on is not owed to it. */
  close(published: number): void {
    this.#closedAt ??= published;
  }

  /** How many are missing of all that were published. */
  lost(published: number): number {
    return (this.#closedAt ?? published) - this.#last + (this.#missing?.size ?? 0);
  }

  #takeOther(sequence: number, published: number): boolean {
    if (sequence > published || sequence < 1) {
      this.strange += 1;
      return false;
    }
    if (sequence > this.#last) {
      this.#missing ??= new Set();
      for (let missing = this.#last + 1; missing < sequence; missing += 1) this.#missing.add(missing);
      this.#last = sequence;
      return true;
    }
    if (this.#missing?.delete(sequence) === true) {
      this.reordered += 1;
      return true;
    }
    this.doubled += 1;
    return false;
  }
}

export interface Account {
  readonly subscriber: SubscriberLedger;
  readonly channel: ChannelLedger;
  readonly isClosed: boolean;
}

export function faultsOf(accounts: Iterable<Account>): Faults {
  const faults = { lost: 0, doubled: 0, reordered: 0, strange: 0, closed: 0 };
  for (const { subscriber, channel, isClosed } of accounts) {
    faults.lost += Math.max(0, subscriber.lost(channel.published));
    faults.doubled += subscriber.doubled;
    faults.reordered += subscriber.reordered;
    faults.strange += subscriber.strange;
    faults.closed += isClosed ? 1 : 0;
  }
  return faults;
}
