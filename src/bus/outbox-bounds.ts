import type { PublishLimits } from "./publisher.ts";

// The load of one outbox above which a message counts as one that has to wait: enough that a healthy bus is never waited for, and
// a bound for one that hangs. Not more than that is written and unanswered.
const MAX_MESSAGES = 65_536;
const MAX_BYTES = 32 * 1024 * 1024;

/** Everything that is on its way to the bus, over all outboxes, and the bounds on what may wait. */
export class OutboxTotal {
  readonly #limits: PublishLimits;
  messages = 0;
  bytes = 0;

  constructor(limits: PublishLimits) {
    this.#limits = limits;
  }

  /** The time within which a message has to be confirmed. */
  get timeoutMs(): number {
    return this.#limits.publishTimeoutMs;
  }

  hasRoom(bytes: number): boolean {
    return this.messages < this.#limits.publishQueue && this.bytes + bytes <= this.#limits.publishQueueBytes;
  }
}

/** The messages of one outbox, counted. */
export class OutboxBounds {
  readonly #total: OutboxTotal;
  #messages = 0;
  #bytes = 0;
  #unanswered = 0;
  #unansweredBytes = 0;

  constructor(total: OutboxTotal) {
    this.#total = total;
  }

  get isEmpty(): boolean {
    return this.#messages === 0;
  }

  /** True if one more may come. One that does not have to wait may, unless the outbox is crowded. */
  hasRoom(bytes: number, hasToWait: boolean): boolean {
    const isCrowded = this.#messages >= MAX_MESSAGES || this.#bytes >= MAX_BYTES;
    return !(hasToWait || isCrowded) || this.#total.hasRoom(bytes);
  }

  /** True if a batch may be written. */
  get mayWrite(): boolean {
    return this.#unanswered < MAX_MESSAGES && this.#unansweredBytes < MAX_BYTES;
  }

  /** True if as much as that is not written yet. */
  isWaiting(messages: number, bytes: number): boolean {
    return this.#messages - this.#unanswered >= messages || this.#bytes - this.#unansweredBytes >= bytes;
  }

  added(bytes: number): void {
    this.#change(1, bytes);
  }

  removed(messages: number, bytes: number): void {
    this.#change(-messages, -bytes);
  }

  written(messages: number, bytes: number): void {
    this.#unanswered += messages;
    this.#unansweredBytes += bytes;
  }

  answered(messages: number, bytes: number): void {
    this.#unanswered -= messages;
    this.#unansweredBytes -= bytes;
  }

  #change(messages: number, bytes: number): void {
    this.#messages += messages;
    this.#bytes += bytes;
    this.#total.messages += messages;
    this.#total.bytes += bytes;
  }
}
