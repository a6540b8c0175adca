import type { Bus } from "../bus/bus.ts";
import type { History, Page } from "../bus/history.ts";
import { Problem } from "../errors.ts";
import type { Position, Retention } from "../position.ts";
import type { CatchUps } from "./catch-ups.ts";
import type { Follower } from "./follower.ts";
import { PAGE_BYTES, type LocalChannel, type Opening, type Seat } from "./local-channel.ts";

/** How long a client may wait for its place. */
const JOIN_TIMEOUT_MS = 2500;
const RETRY_MS = 25;
/** How long the bus itself may take to bring what the log has already. */
const REACH_MS = 500;
const REACH_CHECK_MS = 2;

/** What a client on a channel with history wants first: all after a position, or the last messages. */
export type JoinFrom = { readonly since: Position } | { readonly recent: number };

/** What a seat begins with; on a channel without history with nothing. */
export interface Opened {
  readonly opening: Opening | undefined;
}

export interface JoiningOptions {
  bus(): Bus;
  history(): History;
  /** Whether every subscription is live. */
  live(): boolean;
  /** Counts the losses of all subscriptions. */
  generation(): number;
  readonly catchUps: CatchUps;
}

/** Makes seats ready to be taken: the subscription is live, and on a channel with history what comes first is there, without a seam. */
export class Joining {
  readonly #options: JoiningOptions;
  readonly #waiting = new Set<() => void>();

  constructor(options: JoiningOptions) {
    this.#options = options;
  }

  /** What `prepare` would resolve to, where nothing has to be waited for; undefined where something has to. */
  atOnce({ local }: Seat, from: JoinFrom | undefined): Opened | undefined {
    const options = this.#options;
    if (from !== undefined || !options.live() || options.bus().subscribe(local.name) !== undefined) return undefined;
    const { follower } = local;
    if (follower === undefined) return { opening: undefined };
    return follower.live ? { opening: openingOf(follower) } : undefined;
  }

  /**
   * Resolves once everything published from then on is delivered here, with what comes first on a channel with history. That
   * holds for the turn of the event loop in which it resolves.
   *
   * @throws Problem `bus-away` after 2.5 s
   */
  async prepare(seat: Seat, from: JoinFrom | undefined): Promise<Opening | undefined> {
    const { local } = seat;
    const { follower, kind } = local;
    const options = this.#options;
    const deadlineMs = Date.now() + JOIN_TIMEOUT_MS;
    for (;;) {
      // Asked for first, so that it is live before what waits is published. Awaited only when the bus is there: what waits on its
      // promise stays there for as long as that takes, and clients ask again and again.
      void options.bus().subscribe(local.name);
      while (!options.live()) await this.#restored(deadlineMs);
      const before = options.generation();
      const subscribed = options.bus().subscribe(local.name);
      if (subscribed !== undefined) await inTime(deadlineMs, subscribed);
      if (before !== options.generation()) continue;
      if (follower === undefined || kind.history === undefined) return undefined;
      const opening = await this.#open(seat, follower, kind.history, from, deadlineMs);
      if (opening !== undefined) return opening;
      if (Date.now() > deadlineMs) throw away();
    }
  }

  /** Every subscription is live again: who waited for that goes on in this turn. */
  restored(): void {
    for (const goOn of this.#waiting) goOn();
    this.#waiting.clear();
  }

  /** @throws Problem `bus-away` when it is too late */
  async #restored(deadlineMs: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.add(resolve);
    try {
      await inTime(deadlineMs, promise);
    } finally {
      this.#waiting.delete(resolve);
    }
  }

  /** Undefined if it has to be tried again. After its last await it finishes in one turn. */
  async #open(
    seat: Seat,
    follower: Follower<LocalChannel>,
    retention: Retention,
    from: JoinFrom | undefined,
    deadlineMs: number,
  ): Promise<Opening | undefined> {
    if (!follower.live) await this.#catchUp(seat.local, follower, deadlineMs);
    if (from === undefined) {
      return follower.live ? openingOf(follower) : undefined;
    }
    const { size } = retention;
    const page = { limit: size, bytes: PAGE_BYTES, keepsAlive: true };
    const query = "since" in from ? { ...page, since: from.since } : { ...page, limit: Math.min(size, from.recent) };
    const read = await inTime(deadlineMs, this.#options.history().read(seat.channel, retention, query).catch(later));
    if (read === undefined) return undefined;
    const { epoch, head, start, messages, resumed } = read;
    const whole = start + messages.length >= head;
    const opening = { epoch, start, resumed, messages, whole };
    // Where a replay cannot go on there is nothing to join.
    if (!whole || (seat.state === "replaying" && resumed === false)) return opening;
    // Where the log is ahead of what was delivered here, the whole channel goes there: topics cannot skip for one client.
    if (!follower.advance(read) && !(await reaches(follower, read))) await this.#catchUp(seat.local, follower, deadlineMs);
    return follower.live && follower.heldAfter(epoch, start + messages.length) !== undefined ? opening : undefined;
  }

  async #catchUp(local: LocalChannel, follower: Follower<LocalChannel>, deadlineMs: number): Promise<void> {
    // One that is behind already has its read under way: to begin anew for each client would never end.
    if (follower.live) follower.interrupt();
    this.#options.catchUps.add(local);
    await inTime(deadlineMs, follower.whenLive());
  }
}

/** Where somebody comes in who wants nothing of the past. */
function openingOf({ epoch, offset }: Follower<LocalChannel>): Opening {
  return { epoch, start: offset, resumed: null, messages: [], whole: true };
}

function away(): Problem {
  return new Problem("bus-away", "The bus is away.");
}

/** @throws Problem `bus-away` when it is too late */
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

/** The bus could not be asked; it may be back soon. */
async function later(): Promise<undefined> {
  await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
}

/** Whether the bus itself brings a follower to the end of a page, soon. To read it from the log could find too little kept. */
async function reaches(follower: Follower<LocalChannel>, { epoch, head }: Page): Promise<boolean> {
  const deadlineMs = Date.now() + REACH_MS;
  while (follower.live && follower.epoch === epoch && Date.now() < deadlineMs) {
    if (follower.offset >= head) return true;
    await new Promise((resolve) => setTimeout(resolve, REACH_CHECK_MS));
  }
  return false;
}
