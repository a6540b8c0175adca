import type { Allowance } from "./allowance.ts";

// What may be on its way altogether before a message counts as one that has to wait.
const MAX_MESSAGES = 65_536;
const MAX_BYTES = 32 * 1024 * 1024;

/** All that is on its way to logs, which counts against what may wait for the bus. */
export class AppendLoad {
  readonly #allowance: Allowance;
  #messages = 0;
  #bytes = 0;

  constructor(allowance: Allowance) {
    this.#allowance = allowance;
  }

  get isEmpty(): boolean {
    return this.#messages === 0;
  }

  /** Whether one more may come, which `hasToWait` or goes on at once. */
  hasRoom(bytes: number, hasToWait: boolean): boolean {
    const crowded = this.#messages >= MAX_MESSAGES || this.#bytes >= MAX_BYTES;
    return !(hasToWait || crowded) || this.#allowance.hasRoom(bytes);
  }

  take(bytes: number): void {
    this.#allowance.take(1, bytes);
    this.#messages += 1;
    this.#bytes += bytes;
  }

  give(items: readonly { readonly bytes: number }[]): void {
    let bytes = 0;
    for (const item of items) bytes += item.bytes;
    this.#allowance.give(items.length, bytes);
    this.#messages -= items.length;
    this.#bytes -= bytes;
  }
}
