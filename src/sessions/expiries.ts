import { expiryOf } from "../access/principal.ts";
import { MAX_TIMER_MS } from "../lib/duration.ts";
import type { Client } from "./registry.ts";

/** When the tokens of clients expire. One timer for all: it waits for the next. */
export class Expiries {
  /** Clients by the second in which their tokens expire, since 1970. */
  readonly #seconds = new Map<number, Set<Client>>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #closed = false;
  #dueMs = Number.POSITIVE_INFINITY;

  /** Seconds in which tokens expire. */
  get size(): number {
    return this.#seconds.size;
  }

  add(client: Client): void {
    const second = secondOf(client);
    if (this.#closed || second === Number.POSITIVE_INFINITY) return;
    const clients = this.#seconds.get(second);
    if (clients !== undefined) {
      clients.add(client);
      return;
    }
    this.#seconds.set(second, new Set([client]));
    if (second * 1000 < this.#dueMs) this.#wait(second);
  }

  remove(client: Client): void {
    const second = secondOf(client);
    const clients = this.#seconds.get(second);
    clients?.delete(client);
    if (clients?.size === 0) this.#seconds.delete(second);
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
    for (const [second, clients] of this.#seconds) {
      if (second * 1000 > nowMs) {
        next = Math.min(next, second);
        continue;
      }
      this.#seconds.delete(second);
      for (const client of clients) client.retire("token-expired");
    }
    this.#dueMs = Number.POSITIVE_INFINITY;
    if (next !== Number.POSITIVE_INFINITY) this.#wait(next);
  }
}

function secondOf({ guest }: Client): number {
  return Math.ceil(expiryOf(guest.principal) / 1000);
}
