import type { Policy } from "../access/policy.ts";
import { subjectOf, type Principal } from "../access/principal.ts";
import { Problem, type ClosingFaultName } from "../errors.ts";
import { IndexedBag, type Member } from "../lib/indexed-bag.ts";
import { within } from "../lib/timeout.ts";
import { Expiries } from "./expiries.ts";

/** How long a client that is being closed may take to read what was sent to it before. */
const RETIRE_TIMEOUT_MS = 30_000;

/** What is known of a client before it has a place. */
export interface Guest {
  /** Admitted by `connections`; its place is freed when the client ends. */
  readonly address: string;
  readonly principal: Principal;
}

/** One client, whatever carries it. */
export interface Client extends Member {
  readonly guest: Guest;
  /** What it may do is asked anew. */
  reconsider(policy: Policy): void;
  /** Sends it nothing more, then closes it, once it has what was sent before. */
  retire(fault: ClosingFaultName): void;
  /** From now on what it sends is not heard. */
  mute(): void;
  /** Ends it at once; what still waits for it is lost. */
  terminate(): void;
  /** Is called now and then. `mayCut` is false after a stall of this process. */
  tend(nowMs: number, intervalMs: number, mayCut: boolean): void;
}

/** They may change at any time. */
export interface ConnectionLimits {
  /** 0: no limit. */
  readonly maxConnections: number;
  /** 0: no limit. */
  readonly maxConnectionsPerIp: number;
}

/** All clients of an instance: how many there may be, which are still alive, and how they all leave. */
export class Connections {
  readonly pingIntervalMs: number;
  readonly #limits: ConnectionLimits;
  readonly #open = new IndexedBag<Client>();
  /** Those that are being closed, and until when they may take, the oldest first. */
  readonly #retired = new Map<Client, number>();
  readonly #expiries = new Expiries();
  readonly #perIp = new Map<string, { readonly address: string; count: number }>();
  readonly #turnMs: number;
  readonly #timer: ReturnType<typeof setInterval>;
  #admitted = 0;
  #lastTurnMs = Date.now();
  #onEmpty: (() => void) | undefined;

  constructor(limits: ConnectionLimits, pingIntervalMs: number) {
    this.#limits = limits;
    this.pingIntervalMs = pingIntervalMs;
    this.#turnMs = Math.min(1000, Math.max(20, pingIntervalMs / 8));
    this.#timer = setInterval(() => this.#turn(), this.#turnMs);
  }

  /**
   * Gives a place to a client of an address, until `release`. Returns the address: one text for all that come from there.
   *
   * @throws Problem `too-many-connections`, `too-many-connections-of-address`
   */
  admit(address: string): string {
    const { maxConnections, maxConnectionsPerIp } = this.#limits;
    const here = this.#perIp.get(address) ?? { address, count: 0 };
    if (maxConnections > 0 && this.#admitted >= maxConnections) {
      throw new Problem("too-many-connections", "This instance takes no more connections.");
    }
    if (maxConnectionsPerIp > 0 && here.count >= maxConnectionsPerIp) {
      throw new Problem("too-many-connections-of-address", "There are too many connections from this address.");
    }
    this.#admitted += 1;
    here.count += 1;
    if (here.count === 1) this.#perIp.set(address, here);
    return here.address;
  }

  /** Frees a place that was admitted, once for each. */
  release(address: string): void {
    this.#admitted -= 1;
    const here = this.#perIp.get(address);
    if (here === undefined) return;
    here.count -= 1;
    if (here.count === 0) this.#perIp.delete(address);
  }

  /** Clients of this process, those included that are about to join. */
  get count(): number {
    return this.#admitted;
  }

  add(client: Client): void {
    this.#open.add(client);
    this.#expiries.add(client);
  }

  /** Other rules hold from now on. */
  reconsider(policy: Policy): void {
    this.#open.each((client) => client.reconsider(policy));
  }

  /** Closes all of a subject. */
  disconnect(subject: string): void {
    this.#open.each((client) => {
      if (subjectOf(client.guest.principal) === subject) client.retire("disconnected");
    });
  }

  /** The connection will be closed once it has read what was sent to it; after 30 s it is cut. */
  retired(client: Client): void {
    this.#retired.set(client, Date.now() + RETIRE_TIMEOUT_MS);
  }

  remove(client: Client): void {
    this.#open.delete(client);
    this.#retired.delete(client);
    this.#expiries.remove(client);
    if (this.#open.size === 0) this.#onEmpty?.();
  }

  /** Takes nothing more from any client; they will be told by their close. */
  mute(): void {
    this.#open.each((client) => client.mute());
  }

  /** Closes everybody with 1001 once they have what was sent to them. Resolves when all are gone, or after the time-out, when the rest are cut. */
  async drain(timeoutMs: number): Promise<void> {
    const gone = new Promise<void>((resolve) => {
      this.#onEmpty = resolve;
    });
    this.#open.each((client) => client.retire("draining"));
    if (this.#open.size > 0) await within(timeoutMs, gone);
    this.#open.each((client) => client.terminate());
  }

  close(): void {
    clearInterval(this.#timer);
    this.#expiries.close();
  }

  #turn(): void {
    const nowMs = Date.now();
    // After a stall of this process the answers of clients are still unread.
    const onTime = nowMs - this.#lastTurnMs < this.#turnMs + 1000;
    this.#lastTurnMs = nowMs;
    this.#open.each((client) => client.tend(nowMs, this.pingIntervalMs, onTime));
    for (const [client, untilMs] of this.#retired) {
      if (untilMs > nowMs) break;
      client.terminate();
    }
  }
}
