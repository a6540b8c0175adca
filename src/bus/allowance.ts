import type { PublishLimits } from "./bus.ts";

/** What all that waits for the bus may come to, in messages and bytes. */
export class Allowance {
  readonly #limits: PublishLimits;
  #messages = 0;
  #bytes = 0;

  constructor(limits: PublishLimits) {
    this.#limits = limits;
  }

  /** How long a message may wait for its confirmation. */
  get timeoutMs(): number {
    return this.#limits.publishTimeoutMs;
  }

  get messages(): number {
    return this.#messages;
  }

  hasRoom(bytes: number): boolean {
    return this.#messages < this.#limits.publishQueue && this.#bytes + bytes <= this.#limits.publishQueueBytes;
  }

  take(messages: number, bytes: number): void {
    this.#messages += messages;
    this.#bytes += bytes;
  }

  give(messages: number, bytes: number): void {
    this.#messages -= messages;
    this.#bytes -= bytes;
  }
}
