import type { Bus, BusListener, Entries, History, Presence, Sender } from "../bus/bus.ts";
import { isAlike, resolveKind, type Kind, type Resolved } from "../channels/kind.ts";
import type { Counts } from "../counts.ts";
import { Problem } from "../errors.ts";
import type { Log } from "../log.ts";
import type { Message } from "../message.ts";
import { Backlogs, type BacklogLimits } from "./backlogs.ts";
import { CatchUps } from "./catch-ups.ts";
import { GapClosings } from "./gap-closings.ts";
import { Joining, type JoinFrom } from "./joining.ts";
import { LocalChannel, Seat, type Opening } from "./local-channel.ts";
import type { Subscriber } from "./subscriber.ts";

/** A channel without local clients is kept this long: most who leave are reconnecting. */
const RELEASE_AFTER_MS = 3000;
const RELEASE_CHECK_MS = 1000;
/** After so long a client is not left to wait for the rest of its replay any more. */
const STUCK_MS = 5000;
/** Positions are valid for 24 h after this. */
const RENEW_MS = 3600 * 1000;

export interface HubOptions {
  openBus(listener: BusListener): Promise<Bus>;
  /** Sends a message to all local clients that listen to a topic; `epoch` is empty on a channel without history. */
  readonly broadcast: (topic: string, message: Message, epoch: string, offset: number) => void;
  /** It may change at any time. */
  readonly limits: BacklogLimits;
  readonly counts: Counts;
  readonly log: Log;
}

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
  readonly #backlogs: Backlogs;
  readonly #gaps = new GapClosings();
  readonly #catchUps: CatchUps;
  readonly #joining: Joining;
  readonly #timers: ReturnType<typeof setInterval>[];
  /** Counts the losses of all subscriptions. */
  #generation = 0;
  /** Channels that the instance itself follows. */
  #own = 0;
  #topics = 0;
  #live = false;
  #bus: Bus | undefined;

  private constructor(options: HubOptions) {
    this.#options = options;
    this.#backlogs = new Backlogs(options.limits);
    this.#catchUps = new CatchUps({
      history: () => this.history,
      wanted: (local) => this.#channels.get(local.name) === local,
      recovered: () => (options.counts.catchUps += 1),
      unreadable: (local) => this.#abandon(local),
    });
    this.#joining = new Joining({
      bus: () => this.bus,
      history: () => this.history,
      live: () => this.#live,
      generation: () => this.#generation,
      catchUps: this.#catchUps,
    });
    this.#timers = [setInterval(() => this.#releaseIdle(), RELEASE_CHECK_MS), setInterval(() => this.#renew(), RENEW_MS)];
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

  /** @throws Error where the bus keeps none */
  get history(): History {
    const { history } = this.bus;
    if (history === undefined) throw new Error("this bus keeps no history");
    return history;
  }

  /** @throws Error where the bus does not tell */
  get presence(): Presence {
    const { presence } = this.bus;
    if (presence === undefined) throw new Error("this bus does not tell who is present");
    return presence;
  }

  /** Channels with clients here. */
  get channels(): number {
    return this.#channels.size - this.#idle.size - this.#own;
  }

  /**
   * The instance itself hears each message of a channel with history, from about now on; after a loss also what it missed, as
   * far as the log reaches.
   */
  follow({ kind, channel }: Resolved, hear: (message: Message) => void): void {
    const listener = (self: LocalChannel) => ({ follow: hear, missed: () => undefined, behind: () => this.#catchUps.add(self) });
    const local = new LocalChannel(channel, kind, "", listener, true);
    this.#channels.set(channel, local);
    this.#own += 1;
    void this.bus.subscribe(channel).then(() => this.#catchUps.add(local));
  }

  /**
   * The kinds were read anew. Clients stay where they are, under the newer kind of their path. Where it calls the channel
   * otherwise, or begins or ends to keep history, they are closed as after a gap, and come back to the right place.
   */
  reload(kinds: readonly Kind[]): void {
    for (const local of this.#channels.values()) if (!local.own) this.#reload(local, kinds);
    if (this.#live) this.#gaps.start();
  }

  /**
   * Resolves once everything published on the channel from then on is delivered here, with what was asked for of its history.
   * The caller takes or leaves the seat in the same turn of the event loop, and may be sure that nothing was missed in between.
   *
   * @throws Problem `bus-away` after 2.5 s, or where the path has come to lead elsewhere
   */
  async reserve(target: Resolved, from?: JoinFrom): Promise<Seat> {
    const seat = this.#enter(target);
    this.#hold(seat);
    try {
      seat.opening = await this.#joining.prepare(seat, from);
      if (seat.moved) throw new Problem("bus-away", "The channel has just changed; try again.");
      return seat;
    } catch (error) {
      this.leave(seat);
      throw error;
    }
  }

  /**
   * The subscriber listens from now on, or while its seat is `replaying`, once it has asked for more. Returns what it has to be
   * sent before anything else.
   */
  take(seat: Seat, subscriber: Subscriber): readonly Message[] {
    seat.subscriber = subscriber;
    this.#options.counts.joins += 1;
    this.#showPresence(seat);
    return this.#sit(seat, subscriber);
  }

  /**
   * Sends the next part of what is replayed, by `send`, in the turn in which it holds; with the last one the subscriber listens.
   *
   * @throws Problem `bus-away` after 2.5 s: try again; `gap` where what comes next is not kept any more
   */
  async more(seat: Seat, send: (messages: readonly Message[]) => void): Promise<void> {
    const { opening, subscriber } = seat;
    if (seat.state !== "replaying" || opening === undefined || subscriber === undefined) return;
    const { epoch, start } = opening;
    this.#hold(seat);
    let next: Opening | undefined;
    try {
      next = await this.#joining.prepare(seat, { since: { epoch, offset: start } });
      seat.stuckSinceMs = undefined;
    } catch (error) {
      this.#stuck(seat);
      throw error;
    }
    if (!isReplaying(seat)) return;
    if (seat.moved || next?.resumed !== true) throw new Problem("gap", "What comes next is not kept any more.");
    seat.opening = next;
    send(this.#sit(seat, subscriber));
  }

  /** Gives a seat back, taken or not. A second time does nothing. */
  leave(seat: Seat): void {
    const { local, state, subscriber } = seat;
    if (state === "left") return;
    seat.stop(seat.position);
    seat.state = "left";
    this.#release(seat);
    local.waiting.delete(seat);
    if (subscriber !== undefined) {
      local.seats.delete(seat);
      local.untold.delete(subscriber);
      this.#gaps.delete(subscriber);
      subscriber.unlisten(local.topic);
      if (seat.present) this.presence.leave(local.name, subscriber.subject);
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
    this.#joining.restored();
  }

  close(): void {
    this.#stopTimers();
    this.bus.close();
  }

  #stopTimers(): void {
    for (const timer of this.#timers) clearInterval(timer);
    this.#backlogs.close();
    this.#gaps.pause();
    this.#catchUps.rest();
  }

  #topic(channel: string): string {
    return `${(this.#topics += 1)} ${channel}`;
  }

  #enter(target: Resolved): Seat {
    const { kind, channel } = target;
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
    const seat = new Seat(local, target);
    local.waiting.add(seat);
    return seat;
  }

  #reload(local: LocalChannel, kinds: readonly Kind[]): void {
    const seats = [...local.seats, ...local.waiting];
    // A path that is of no kind any more takes nobody in, but those who are there stay.
    const targets = new Map(seats.map((seat) => [seat, resolveKind(kinds, seat.target.segments) ?? seat.target]));
    const ends = [...targets].some(([seat, next]) => next.channel === local.name && !isAlike(next, seat.target));
    for (const [seat, next] of targets) {
      if (ends || next.channel !== local.name) this.#move(seat);
      else {
        seat.target = next;
        local.kind = next.kind;
      }
    }
    for (const seat of seats) this.#showPresence(seat);
    if (!ends && !local.empty) return;
    this.#idle.delete(local);
    this.#channels.delete(local.name);
    this.bus.unsubscribe(local.name);
  }

  /** Its subscriber gets nothing more, and will be closed. */
  #move(seat: Seat): void {
    const { local, subscriber } = seat;
    seat.moved = true;
    if (subscriber === undefined) return;
    seat.stop(seat.position);
    local.seats.delete(seat);
    subscriber.unlisten(local.topic);
    this.#gaps.add(subscriber);
    this.#options.counts.gaps += 1;
  }

  /** Says whether its subscriber is on the channel, where the kind tells. */
  #showPresence(seat: Seat): void {
    const { local, subscriber, present } = seat;
    if (subscriber === undefined || present === local.kind.presence) return;
    seat.present = local.kind.presence;
    if (seat.present) this.presence.enter(local.name, subscriber.subject);
    else this.presence.leave(local.name, subscriber.subject);
  }

  /** The seat is taken now, if what it begins with reaches the end of the log. */
  #sit(seat: Seat, subscriber: Subscriber): readonly Message[] {
    const { local, opening } = seat;
    let first: readonly Message[] = [];
    if (local.follower !== undefined && opening !== undefined) {
      const { epoch, start, messages, whole } = opening;
      const end = start + messages.length;
      const since = local.follower.heldAfter(epoch, end);
      this.#release(seat);
      if (!whole || since === undefined) {
        // Also where the log went on too far, or began anew, in this very turn: the client asks again.
        seat.state = "replaying";
        seat.opening = { ...opening, start: end, messages: [] };
        return messages;
      }
      first = since.length === 0 ? messages : [...messages, ...since];
    }
    seat.state = "taken";
    seat.opening = undefined;
    local.waiting.delete(seat);
    local.seats.add(seat);
    subscriber.listen(local.topic);
    return first;
  }

  /** @throws Problem `gap` once the client has waited for too long while the bus is there */
  #stuck(seat: Seat): void {
    if (!this.bus.ready) return;
    seat.stuckSinceMs ??= Date.now();
    if (Date.now() - seat.stuckSinceMs > STUCK_MS) throw new Problem("gap", "What comes next cannot be read.");
  }

  #hold(seat: Seat): void {
    if (seat.holding) return;
    seat.holding = true;
    seat.local.follower?.hold();
  }

  #release(seat: Seat): void {
    if (!seat.holding) return;
    seat.holding = false;
    seat.local.follower?.release();
  }

  #send(local: LocalChannel, message: Message, epoch: string, offset: number): void {
    const { counts, broadcast } = this.#options;
    const clients = local.seats.size;
    if (clients === 0) return;
    this.#tell(local);
    broadcast(local.topic, message, epoch, offset);
    counts.delivered += clients;
    counts.deliveredBytes += clients * byteLength(message);
    this.#backlogs.delivered(local, message.length);
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

  /** Its log cannot be read, and its clients are not left to wait for ever. */
  #abandon(local: LocalChannel): void {
    for (const { subscriber } of local.seats) {
      this.#options.counts.gaps += 1;
      subscriber?.retire("gap");
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
}

/** Asked anew after an await: the client may be gone. */
function isReplaying(seat: Seat): boolean {
  return seat.state === "replaying";
}

function byteLength(message: Message): number {
  return typeof message === "string" ? Buffer.byteLength(message) : message.byteLength;
}
