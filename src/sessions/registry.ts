import { Problem, type ClosingFaultName } from "../errors.ts";
import { IndexedBag, type Indexed } from "../lib/indexed-bag.ts";
import { within } from "../lib/time.ts";
import type { Transport } from "./transports/transport.ts";
import { Expiries, type Expiring } from "./expiries.ts";

/** A client that is being closed may take so long to read what was sent to it before. */
const CLOSE_TIMEOUT_MS = 30_000;

/** A session, as the registry sees it. */
export interface Registered extends Indexed, Expiring {
  /** The `sub` of its token; null for nobody in particular. */
  readonly subject: string | null;
  /** Rights may have changed. */
  reconsider(): void;
  /** Sends nothing more, then closes the connection, once the client has what was sent before. */
  close(fault: ClosingFaultName): void;
  readonly transport: Transport | undefined;
  /** Closes if more waits for the client than may. */
  checkBacklog(): void;
}

/** They may change at any time. */
export interface ConnectionLimits {
  /** 0: no limit. */
  readonly maxConnections: number;
  /** 0: no limit. */
  readonly maxConnectionsPerIp: number;
}

/** All sessions of an instance: admits, tends, expires, disconnects and drains them. */
export class Registry {
  readonly pingIntervalMs: number;
  readonly expiries = new Expiries();
  readonly #limits: ConnectionLimits;
  readonly #open = new IndexedBag<Registered>();
  /** Sessions that are being closed, and until when they may take, the oldest first. */
  readonly #closing = new Map<Registered, number>();
  readonly #perIp = new Map<string, { readonly address: string; count: number }>();
  readonly #turnMs: number;
  readonly #timer: ReturnType<typeof setInterval>;
  #admitted = 0;
  #muted = false;
  #lastTurnMs = Date.now();
  #onEmpty: (() => void) | undefined;

  constructor(limits: ConnectionLimits, pingIntervalMs: number) {
    this.#limits = limits;
    this.pingIntervalMs = pingIntervalMs;
    this.#turnMs = Math.min(1000, Math.max(20, pingIntervalMs / 8));
    this.#timer = setInterval(() => this.#turn(), this.#turnMs);
  }

  /**
   * Gives a place to a client of an address, until `release`. Returns the address: one text for all clients from there.
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

  /** Clients of this process, joining ones too. */
  get count(): number {
    return this.#admitted;
  }

  /** True once nothing is taken from any client any more. */
  get muted(): boolean {
    return this.#muted;
  }

  add(session: Registered): void {
    this.#open.add(session);
    this.expiries.add(session);
  }

  /** Other rules hold from now on. */
  reconsider(): void {
    this.#open.each((session) => session.reconsider());
  }

  /** Closes all sessions of a subject. */
  disconnect(subject: string): void {
    this.#open.each((session) => {
      if (session.subject === subject) session.close("disconnected");
    });
  }

  /** The session closes once its client has read what was sent to it; after 30 s it is cut. */
  closing(session: Registered): void {
    this.#closing.set(session, Date.now() + CLOSE_TIMEOUT_MS);
  }

  remove(session: Registered): void {
    this.#open.delete(session);
    this.#closing.delete(session);
    this.expiries.remove(session);
    if (this.#open.size === 0) this.#onEmpty?.();
  }

  /** Takes nothing more from any client; their close will tell them. */
  mute(): void {
    this.#muted = true;
  }

  /** Closes all clients with 1001 once they have what was sent to them. Resolves when all are gone, or at the time-out, when the rest are cut. */
  async drain(timeoutMs: number): Promise<void> {
    const gone = new Promise<void>((resolve) => {
      this.#onEmpty = resolve;
    });
    this.#open.each((session) => session.close("draining"));
    if (this.#open.size > 0) await within(timeoutMs, gone);
    this.#open.each((session) => session.transport?.terminate());
  }

  close(): void {
    clearInterval(this.#timer);
    this.expiries.close();
  }

  #turn(): void {
    const nowMs = Date.now();
    // After a stall of this process the answers of clients are still unread.
    const onTime = nowMs - this.#lastTurnMs < this.#turnMs + 1000;
    this.#lastTurnMs = nowMs;
    this.#open.each((session) => {
      session.transport?.tend(nowMs, this.pingIntervalMs, onTime);
      // The hub's sweep sees channels; answers and pongs may pile up on a quiet one.
      session.checkBacklog();
    });
    for (const [session, untilMs] of this.#closing) {
      if (untilMs > nowMs) break;
      session.transport?.terminate();
    }
  }
}
