import { historyOf } from "../bus/bus.ts";
import type { Bus } from "../bus/bus.ts";
import type { Page } from "../bus/history.ts";
import { Problem } from "../errors.ts";
import type { Position, Retention } from "../position.ts";
import type { Channel } from "./channel.ts";
import type { LogFollower } from "./log-follower.ts";
import { PAGE_BYTES, type Recovery } from "./recovery.ts";
import type { Opening, Subscription } from "./subscription.ts";

/** A client waits at most this long for its subscription. */
const JOIN_TIMEOUT_MS = 2500;
/** Before a failed read is tried again; twice as long each time. */
const RETRY_MS = 25;
const MAX_RETRY_MS = 400;
/** The bus itself may take so long to deliver what the log has already. */
const REACH_MS = 500;
/** After so long a client is not left to wait for the rest of its replay any more. */
const STUCK_MS = 5000;

/** The part of the log that a client wants first: all after a position, or the last messages. */
export type JoinFrom = { readonly since: Position } | { readonly recent: number };

/**
 * Makes subscriptions ready.
 *
 * A join: 1. The channel is live: the bus has acknowledged its subscription. 2. On a channel with history its log follower is live.
 * 3. A client that wants a part of the log: that is read; the follower buffers what comes meanwhile, and goes ahead to the end of the
 * page where the log was ahead of it. 4. In the turn in which all of this holds the session attaches, and receives the page, what was
 * buffered, then what is broadcast: no seam.
 */
export class Joins {
  readonly #context: { readonly bus: Bus };
  readonly #recovery: Recovery;
  /** Replays whose next part cannot be had though the bus is there, and since when (milliseconds since 1970). */
  readonly #stuckSinceMs = new WeakMap<Subscription, number>();

  constructor(context: { readonly bus: Bus }, recovery: Recovery) {
    this.#context = context;
    this.#recovery = recovery;
  }

  /** Prepares the subscription without a wait where it can; returns false where it cannot. */
  prepareAtOnce({ live, log }: Channel, subscription: Subscription, from: JoinFrom | undefined): boolean {
    if (from !== undefined || !live || log?.live === false) return false;
    subscription.prepare(log && openingAt(log));
    return true;
  }

  /**
   * Resolves, in the turn in which the promise holds, to the part of the log that the subscription begins with; to undefined on a
   * channel without history.
   *
   * @throws Problem `bus-away` after 2.5 s
   */
  async opening(channel: Channel, subscription: Subscription, from: JoinFrom | undefined): Promise<Opening | undefined> {
    const { log } = channel;
    const deadlineMs = Date.now() + JOIN_TIMEOUT_MS;
    for (let attempt = 0; ; attempt += 1) {
      if (!(await channel.whenLive(deadlineMs))) throw away();
      const { retention } = channel;
      if (log === undefined || retention === undefined) return undefined;
      const opening = await this.#openingOf(channel, log, retention, subscription, from, { attempt, deadlineMs });
      if (opening !== undefined) return opening;
      if (Date.now() > deadlineMs) throw away();
    }
  }

  /**
   * The next part of a replay.
   *
   * @throws Problem `bus-away` after 2.5 s: try again; `gap` where it is not kept any more, or could not be read for 5 s
   */
  async more(channel: Channel, subscription: Subscription, since: Position): Promise<Opening | undefined> {
    let next: Opening | undefined;
    try {
      next = await this.opening(channel, subscription, { since });
      this.#stuckSinceMs.delete(subscription);
    } catch (error) {
      this.#requireHope(subscription, channel.name);
      throw error;
    }
    if (subscription.state !== "replaying") return undefined;
    if (subscription.moved || next?.resumed !== true) throw new Problem("gap", "The next part of the history is not kept any more.");
    return next;
  }

  /** Returns undefined if it has to be tried again. After its last await it ends in one turn. */
  async #openingOf(
    channel: Channel,
    log: LogFollower,
    retention: Retention,
    subscription: Subscription,
    from: JoinFrom | undefined,
    { attempt, deadlineMs }: { readonly attempt: number; readonly deadlineMs: number },
  ): Promise<Opening | undefined> {
    if (!log.live) await this.#recover(channel, log, deadlineMs);
    if (from === undefined) return log.live ? openingAt(log) : undefined;
    const page = await this.#read(channel.name, retention, from, deadlineMs);
    if (page === undefined) {
      await new Promise((resolve) => setTimeout(resolve, Math.min(MAX_RETRY_MS, RETRY_MS * 2 ** attempt)));
      return undefined;
    }
    const { epoch, head, start, messages, resumed } = page;
    const end = start + messages.length;
    const opening = { epoch, start, resumed, messages, whole: end >= head };
    // A part is sent before the subscription is active, and a replay that cannot go on ends.
    if (!opening.whole || (subscription.state === "replaying" && resumed === false)) return opening;
    // Where the log is ahead of what was delivered here, the whole channel goes there: a topic cannot skip for one client.
    const isThere = log.advance(page) || (await log.whenReached(epoch, head, Date.now() + REACH_MS));
    if (!isThere) await this.#recover(channel, log, deadlineMs);
    return log.live && log.bufferedAfter(epoch, end) !== undefined ? opening : undefined;
  }

  async #read(name: string, retention: Retention, from: JoinFrom, deadlineMs: number): Promise<Page | undefined> {
    const { size } = retention;
    const page = { bytes: PAGE_BYTES, keepsAlive: true };
    const query = "since" in from ? { ...page, since: from.since, limit: size } : { ...page, limit: Math.min(size, from.recent) };
    try {
      return await inTime(deadlineMs, historyOf(this.#context.bus).read(name, retention, query));
    } catch (error) {
      // The bus could not be asked; it may be back soon.
      if (error instanceof Problem) return undefined;
      throw error;
    }
  }

  async #recover(channel: Channel, log: LogFollower, deadlineMs: number): Promise<void> {
    // A follower that is behind has its read under way: to begin anew for each client would never end.
    if (log.live) log.interrupt();
    this.#recovery.add(channel);
    if (!(await log.whenLive(deadlineMs))) throw away();
  }

  /** @throws Problem `gap` once the client has waited too long while the bus is there */
  #requireHope(subscription: Subscription, name: string): void {
    if (!this.#context.bus.ready(name)) return;
    const sinceMs = this.#stuckSinceMs.get(subscription) ?? Date.now();
    this.#stuckSinceMs.set(subscription, sinceMs);
    if (Date.now() - sinceMs > STUCK_MS) throw new Problem("gap", "The next part of the history cannot be read.");
  }
}

/** The beginning for a client that wants nothing of the past. */
function openingAt({ epoch, offset }: LogFollower): Opening {
  return { epoch, start: offset, resumed: null, messages: [], whole: true };
}

function away(): Problem {
  return new Problem("bus-away", "The bus is away.");
}

/** @throws Problem `bus-away` at the deadline, in milliseconds since 1970 */
async function inTime<T>(deadlineMs: number, promise: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(away()), Math.max(0, deadlineMs - Date.now()));
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
