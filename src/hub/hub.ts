import type { Bus, BusListener, Entries, History, Page, Presence, Sender } from "../bus/bus.ts";
import type { Kind, Resolved } from "../channels/kind.ts";
import type { Counts } from "../counts.ts";
import { Problem } from "../errors.ts";
import type { Log } from "../log.ts";
import type { Message } from "../message.ts";
import { formatPosition, type Position, type Retention } from "../position.ts";
import { CatchUps } from "./catch-ups.ts";
import type { Follower } from "./follower.ts";
import { GapClosings } from "./gap-closings.ts";
import { LocalChannel, Seat } from "./local-channel.ts";
import type { Subscriber } from "./subscriber.ts";

/** How long a client may wait for its place. */
const JOIN_TIMEOUT_MS = 2500;
/** A channel without local clients is kept this long: most who leave are reconnecting. */
const RELEASE_AFTER_MS = 3000;
const RELEASE_CHECK_MS = 1000;
const RETRY_MS = 50;
const REACH_MS = 500;
const REACH_CHECK_MS = 2;
const BACKLOG_CHECK_MS = 50;
/** Positions are valid for 24 h after this. */
const RENEW_MS = 3600 * 1000;

export interface HubOptions {
  openBus(listener: BusListener): Promise<Bus>;
  /** Sends a message to all local clients that listen to a topic; `epoch` is empty on a channel without history. */
  readonly broadcast: (topic: string, message: Message, epoch: string, offset: number) => void;
  /** Backlogs are looked at whenever so much was delivered on a channel, and every 50 ms. */
  readonly backlogCheckBytes: number;
  readonly counts: Counts;
  readonly log: Log;
}

/** What a client on a channel with history wants first: all after a position, or the last messages. */
export type JoinFrom = { readonly since: Position } | { readonly recent: number };

/**
 * The heart of an instance: which local clients are on which channel, and what the bus delivers to them. One local channel is
 * one topic of the server. A topic's name holds a number, so that clients with a gap stay behind on a topic that is never used
 * again, and nothing reaches them between the gap and the close.
 */
export class Hub implements BusListener {
  readonly #options: HubOptions;
  readonly #channels = new Map<string, LocalChannel>();
  /** Channels without clients and since when, the oldest first. */
  readonly #idle = new Map<LocalChannel, number>();
  readonly #unchecked = new Set<LocalChannel>();
  readonly #gaps = new GapClosings();
  readonly #catchUps: CatchUps;
  readonly #timers: ReturnType<typeof setInterval>[];
  /** Counts the losses of all subscriptions. */
  #generation = 0;
  #topics = 0;
  #live = false;
  #bus: Bus | undefined;

  private constructor(options: HubOptions) {
    this.#options = options;
    this.#catchUps = new CatchUps({
      history: () => this.history,
      wanted: (local) => this.#channels.get(local.name) === local,
      done: () => (options.counts.catchUps += 1),
    });
    this.#timers = [
      setInterval(() => this.#releaseIdle(), RELEASE_CHECK_MS),
      setInterval(() => this.#checkBacklogs(), BACKLOG_CHECK_MS),
      setInterval(() => this.#renew(), RENEW_MS),
    ];
  }

  /** Opens the bus, and resolves when `openBus` does. */
  static async open(options: HubOptions): Promise<Hub> {
    const hub = new Hub(options);
    try {
      hub.#bus = await options.openBus(hub);
      return hub;
    } catch (error) {
      hub.#stopTimers();
      throw error;
    }
  }

  get bus(): Bus {
    if (this.#bus === undefined) throw new Error("the hub is not open yet");
    return this.#bus;
  }

  /** @throws Error where the bus keeps none; a configuration that needs it does not start then */
  get history(): History {
    const { history } = this.bus;
    if (history === undefined) throw new Error("this bus keeps no history");
    return history;
  }

  /** @throws Error as `history` does */
  get presence(): Presence {
    const { presence } = this.bus;
    if (presence === undefined) throw new Error("this bus does not tell who is present");
    return presence;
  }

  /** Channels with clients here. */
  get channels(): number {
    return this.#channels.size - this.#idle.size;
  }

  /**
   * Resolves once everything published on the channel from then on is delivered here, with what was asked for of its history.
   * The caller takes or leaves the seat in the same turn of the event loop, and may be sure that nothing was missed in between.
   *
   * @throws Problem `bus-away` after 2.5 s
   */
  async reserve({ kind, channel }: Resolved, from?: JoinFrom): Promise<Seat> {
    const seat = new Seat(this.#enter(channel, kind));
    const { follower, kind: own } = seat.local;
    follower?.hold();
    const deadlineMs = Date.now() + JOIN_TIMEOUT_MS;
    try {
      for (;;) {
        const generation = this.#generation;
        await inTime(deadlineMs, this.bus.subscribe(channel));
        if (generation !== this.#generation) continue;
        if (follower === undefined || own.history === undefined) return seat;
        if (await this.#prepare(seat, follower, own.history, from, deadlineMs)) return seat;
        if (Date.now() > deadlineMs) throw new Problem("bus-away", "The bus is away.");
      }
    } catch (error) {
      this.leave(seat);
      throw error;
    }
  }

  /** The subscriber listens from now on. Returns what it has to be sent before anything else. */
  take(seat: Seat, subscriber: Subscriber): readonly Message[] {
    const { local, opening } = seat;
    seat.state = "taken";
    seat.subscriber = subscriber;
    seat.opening = undefined;
    local.reserved -= 1;
    this.#options.counts.joins += 1;
    if (local.kind.presence) this.presence.enter(local.name, null);
    let first: readonly Message[] = [];
    if (local.follower !== undefined && opening !== undefined) {
      const { epoch, start, messages } = opening;
      const since = local.follower.heldAfter(epoch, start + messages.length);
      local.follower.release();
      if (since === undefined) {
        // The log began anew in this very turn.
        seat.stop(formatPosition(epoch, start));
        this.#gaps.add(subscriber);
        if (this.#live) this.#gaps.start();
        return [];
      }
      first = since.length === 0 ? messages : [...messages, ...since];
    }
    local.seats.add(seat);
    subscriber.listen(local.topic);
    return first;
  }

  /** Gives a seat back, taken or not. A second time does nothing. */
  leave(seat: Seat): void {
    const { local, state, subscriber } = seat;
    if (state === "left") return;
    seat.stop(seat.position);
    seat.state = "left";
    if (state === "reserved") {
      local.reserved -= 1;
      local.follower?.release();
    }
    if (subscriber !== undefined) {
      local.seats.delete(seat);
      local.untold.delete(subscriber);
      this.#gaps.delete(subscriber);
      subscriber.unlisten(local.topic);
      if (local.kind.presence) this.presence.leave(local.name, null);
    }
    // A client with a gap may have stayed longer than its channel: another one stands under the name then.
    if (!local.empty || this.#channels.get(local.name) !== local) return;
    // Deleted first: a key that is set again would keep its old place.
    this.#idle.delete(local);
    this.#idle.set(local, Date.now());
  }

  /**
   * Publishes a message of a client; see `Publishing.publish`.
   *
   * @param key an idempotency key, on a channel with history
   */
  publish({ kind, channel }: Resolved, message: Message, sender: Sender, key?: string): void {
    const { counts } = this.#options;
    counts.published += 1;
    counts.publishedBytes += byteLength(message);
    if (kind.history === undefined) this.bus.publish(channel, message, sender);
    else this.history.append(channel, message, kind.history, sender, key);
  }

  deliver(channel: string, message: Message): void {
    const local = this.#channels.get(channel);
    if (local === undefined) return;
    if (local.follower === undefined) this.#send(local, message, "", 0);
    else this.#ignore(local);
  }

  deliverEntries(channel: string, entries: Entries): void {
    const local = this.#channels.get(channel);
    if (local === undefined) return;
    if (local.follower !== undefined) local.follower.arrive(entries);
    else for (const message of entries.messages) this.#send(local, message, "", 0);
  }

  lost(): void {
    this.#generation += 1;
    this.#live = false;
    this.#gaps.pause();
    this.#catchUps.rest();
    for (const local of this.#channels.values()) {
      if (local.follower === undefined) this.#strand(local, null);
      else if (local.empty) local.follower.reset();
      else local.follower.interrupt();
    }
  }

  restored(): void {
    this.#live = true;
    this.#gaps.start();
    for (const local of this.#channels.values()) {
      this.#tell(local);
      if (local.follower?.live === false && !local.empty) this.#catchUps.add(local);
    }
    this.#catchUps.start();
  }

  close(): void {
    this.#stopTimers();
    this.bus.close();
  }

  #stopTimers(): void {
    for (const timer of this.#timers) clearInterval(timer);
    this.#gaps.pause();
    this.#catchUps.rest();
  }

  #topic(channel: string): string {
    return `${(this.#topics += 1)} ${channel}`;
  }

  #enter(channel: string, kind: Kind): LocalChannel {
    let local = this.#channels.get(channel);
    if (local === undefined) {
      local = new LocalChannel(channel, kind, this.#topic(channel), (self) => ({
        follow: (message, epoch, offset) => this.#send(self, message, epoch, offset),
        missed: (left) => this.#strand(self, left),
        behind: () => this.#catchUps.add(self),
      }));
      this.#channels.set(channel, local);
    }
    this.#idle.delete(local);
    local.reserved += 1;
    return local;
  }

  /** Fills in what the seat begins with. False if it has to be tried again. After its last await it finishes in one turn. */
  async #prepare(seat: Seat, follower: Follower, retention: Retention, from: JoinFrom | undefined, deadlineMs: number): Promise<boolean> {
    if (!follower.live) await this.#catchUp(seat.local, follower, deadlineMs);
    if (from === undefined) {
      seat.opening = { epoch: follower.epoch, start: follower.offset, resumed: null, messages: [] };
      return follower.live;
    }
    const { size } = retention;
    const query = "since" in from ? { since: from.since, limit: size } : { limit: Math.min(size, from.recent) };
    const page = await inTime(deadlineMs, this.history.read(seat.channel, retention, query).catch(afterAMoment));
    if (page === undefined) return false;
    // Where the log is ahead of what was delivered here, the whole channel goes there: topics cannot skip for one client.
    if (!follower.advance(page) && !(await reaches(follower, page))) await this.#catchUp(seat.local, follower, deadlineMs);
    const { epoch, start, messages } = page;
    seat.opening = { epoch, start, resumed: page.resumed, messages };
    return follower.live && follower.heldAfter(epoch, start + messages.length) !== undefined;
  }

  async #catchUp(local: LocalChannel, follower: Follower, deadlineMs: number): Promise<void> {
    follower.interrupt();
    this.#catchUps.add(local);
    await inTime(deadlineMs, follower.whenLive());
  }

  #send(local: LocalChannel, message: Message, epoch: string, offset: number): void {
    const { counts, broadcast, backlogCheckBytes } = this.#options;
    const clients = local.seats.size;
    if (clients === 0) return;
    this.#tell(local);
    broadcast(local.topic, message, epoch, offset);
    counts.delivered += clients;
    counts.deliveredBytes += clients * byteLength(message);
    local.unchecked += message.length;
    if (local.unchecked >= backlogCheckBytes) this.#checkBacklog(local);
    else this.#unchecked.add(local);
  }

  /** A channel has a gap: its clients, that were at a position, are closed or told. */
  #strand(local: LocalChannel, left: string | null): void {
    const { counts } = this.#options;
    const old = local.topic;
    local.topic = this.#topic(local.name);
    for (const seat of local.seats) {
      const { subscriber } = seat;
      if (subscriber === undefined) continue;
      if (subscriber.onGap === "close") {
        seat.stop(left);
        local.seats.delete(seat);
        this.#gaps.add(subscriber);
        counts.gaps += 1;
        continue;
      }
      subscriber.unlisten(old);
      subscriber.listen(local.topic);
      if (subscriber.onGap !== "ignore") local.untold.add(subscriber);
    }
    if (this.#live) {
      this.#tell(local);
      this.#gaps.start();
    }
  }

  /** Tells those who go on after a gap, before they get anything more. */
  #tell(local: LocalChannel): void {
    if (local.untold.size === 0) return;
    for (const { onGap } of local.untold) if (typeof onGap === "function") onGap(local.follower?.position ?? null);
    this.#options.counts.gaps += local.untold.size;
    local.untold.clear();
  }

  /** On a channel with history only what has a position is delivered. */
  #ignore(local: LocalChannel): void {
    this.#options.counts.foreign += 1;
    if (local.foreign) return;
    local.foreign = true;
    this.#options.log.warn("a message from elsewhere is not delivered: this channel keeps history", { channel: local.name });
  }

  #releaseIdle(): void {
    const beforeMs = Date.now() - RELEASE_AFTER_MS;
    for (const [local, sinceMs] of this.#idle) {
      if (sinceMs > beforeMs) break;
      this.#idle.delete(local);
      this.#channels.delete(local.name);
      this.bus.unsubscribe(local.name);
    }
  }

  #renew(): void {
    const kept = [...this.#channels.values()].filter(({ follower }) => follower !== undefined);
    if (kept.length > 0) this.history.renew(kept.map(({ name }) => name));
  }

  #checkBacklogs(): void {
    for (const local of this.#unchecked) this.#checkBacklog(local);
  }

  #checkBacklog(local: LocalChannel): void {
    local.unchecked = 0;
    this.#unchecked.delete(local);
    for (const { subscriber } of local.seats) subscriber?.checkBacklog();
  }
}

/** @throws Problem `bus-away` when it is too late */
async function inTime<T>(deadlineMs: number, promise: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    const leftMs = Math.max(0, deadlineMs - Date.now());
    timer = setTimeout(() => reject(new Problem("bus-away", "The bus is away.")), leftMs);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Whether the bus itself brings a follower to the end of a page, soon. To read it from the log could find too little kept. */
async function reaches(follower: Follower, { epoch, head }: Page): Promise<boolean> {
  const deadlineMs = Date.now() + REACH_MS;
  while (follower.live && follower.epoch === epoch && Date.now() < deadlineMs) {
    if (follower.offset >= head) return true;
    await new Promise((resolve) => setTimeout(resolve, REACH_CHECK_MS));
  }
  return false;
}

/** The bus could not be asked; it may be back soon. */
async function afterAMoment(): Promise<undefined> {
  await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
}

function byteLength(message: Message): number {
  return typeof message === "string" ? Buffer.byteLength(message) : message.byteLength;
}
