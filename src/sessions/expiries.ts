import { MAX_TIMER_MS } from "../lib/time.ts";

/** Something that ends at a time of its own. */
export interface Expiring {
  /** Milliseconds since 1970, or infinity. */
  readonly expiresMs: number;
  expire(): void;
}

/** Calls `expire` in the second in which something ends. One timer for all: it waits for the next. */
export class Expiries {
  /** By the second of their end, since 1970. */
  readonly #seconds = new Map<number, Set<Expiring>>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #closed = false;
  #dueMs = Number.POSITIVE_INFINITY;

  /** Seconds in which something ends. */
  get size(): number {
    return this.#seconds.size;
  }

  add(expiring: Expiring): void {
    const second = secondOf(expiring);
    if (this.#closed || second === Number.POSITIVE_INFINITY) return;
    const others = this.#seconds.get(second);
    if (others !== undefined) {
      others.add(expiring);
      return;
    }
    this.#seconds.set(second, new Set([expiring]));
    if (second * 1000 < this.#dueMs) this.#wait(second);
  }

  remove(expiring: Expiring): void {
    const second = secondOf(expiring);
    const others = this.#seconds.get(second);
    others?.delete(expiring);
    if (others?.size === 0) this.#seconds.delete(second);
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
  }

  #wait(second: number): void {
    clearTimeout(this.#timer);
    this.#dueMs = second * 1000;
    this.#timer = setTimeout(() => this.#expire(), Math.min(MAX_TIMER_MS, Math.max(0, this.#dueMs - Date.now())));
  }

  #expire(): void {
    const nowMs = Date.now();
    let next = Number.POSITIVE_INFINITY;
    for (const [second, expiring] of this.#seconds) {
      if (second * 1000 > nowMs) {
        next = Math.min(next, second);
        continue;
      }
      this.#seconds.delete(second);
      for (const one of expiring) one.expire();
    }
    this.#dueMs = Number.POSITIVE_INFINITY;
    if (next !== Number.POSITIVE_INFINITY) this.#wait(next);
  }
}

function secondOf({ expiresMs }: Expiring): number {
  return Math.ceil(expiresMs / 1000);
}
