import type { Bus, BusListener, Sender } from "../bus/bus.ts";
import type { Entries, History } from "../bus/history.ts";
import type { Presence } from "../bus/presence.ts";
import type { Kind, Target } from "../channels/kind.ts";
import type { Counts } from "../counts.ts";
import type { Log } from "../log.ts";
import { byteLength, type Message } from "../message.ts";
import { Attendance } from "./attendance.ts";
import { Backlogs, type BacklogLimits } from "./backlogs.ts";
import { CatchUps } from "./catch-ups.ts";
import { Gaps } from "./gaps.ts";
import { Joining } from "./joining.ts";
import type { LocalChannel } from "./local-channel.ts";
import { LocalChannels } from "./local-channels.ts";
import { Reloading } from "./reloading.ts";
import { Seating } from "./seating.ts";

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
  readonly #channels: LocalChannels;
  readonly #backlogs: Backlogs;
  readonly #gaps: Gaps;
  readonly #attendance = new Attendance(() => this.presence);
  readonly #reloading: Reloading;
  readonly #catchUps: CatchUps;
  readonly #joining: Joining;
  /** Where clients come and go. */
  readonly seating: Seating;
  readonly #renewing = setInterval(() => this.#renew(), RENEW_MS);
  /** Counts the losses of all subscriptions. */
  #generation = 0;
  #live = false;
  #bus: Bus | undefined;

  private constructor(options: HubOptions) {
    this.#options = options;
    this.#channels = new LocalChannels({
      listener: {
        follow: (local, message, epoch, offset) => this.#send(local, message, epoch, offset),
        missed: (local, left) => this.#gaps.strand(local, left),
        behind: (local) => this.#catchUps.add(local),
      },
      released: (name) => this.bus.unsubscribe(name),
    });
    this.#backlogs = new Backlogs(options.limits);
    this.#gaps = new Gaps({ counts: options.counts, topic: (name) => this.#channels.topic(name), live: () => this.#live });
    this.#reloading = new Reloading({ channels: this.#channels, gaps: this.#gaps, attendance: this.#attendance });
    this.#catchUps = new CatchUps({
      history: () => this.history,
      ready: () => this.bus.ready(),
      wanted: (local) => this.#channels.get(local.name) === local,
      recovered: () => (options.counts.catchUps += 1),
      unreadable: (local) => this.#gaps.abandon(local),
    });
    this.#joining = new Joining({
      bus: () => this.bus,
      history: () => this.history,
      live: () => this.#live,
      generation: () => this.#generation,
      catchUps: this.#catchUps,
    });
    this.seating = new Seating({
      channels: this.#channels,
      joining: this.#joining,
      gaps: this.#gaps,
      attendance: this.#attendance,
      counts: options.counts,
      busReady: () => this.bus.ready(),
    });
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
    return this.#channels.count;
  }

  /**
   * The instance itself hears each message of a channel with history, from about now on; after a loss also what it missed, as
   * far as the log reaches.
   */
  follow(target: Target, hear: (message: Message) => void): void {
    const { log } = this.#options;
    const local = this.#channels.addOwn(target, {
      follow: (_, message) => hear(message),
      missed: () => log.error("some of what was said to all instances is not kept any more", { channel: target.channel }),
      behind: () => this.#catchUps.add(local),
    });
    void Promise.resolve(this.bus.subscribe(local.name)).then(() => this.#catchUps.add(local));
  }

  /** The kinds were read anew. */
  reload(kinds: readonly Kind[]): void {
    this.#reloading.reload(kinds);
  }

  /**
   * Publishes a message of a client; see `Publishing.publish`.
   *
   * @param key an idempotency key, on a channel with history
   */
  publish({ kind, channel }: Target, message: Message, sender: Sender, key?: string): void {
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

  deliverPresence(): void {
    // Nothing here announces anybody yet.
  }

  lost(): void {
    this.#generation += 1;
    this.#live = false;
    this.#gaps.pause();
    this.#catchUps.rest();
    for (const local of this.#channels.all()) {
      if (local.follower === undefined) this.#gaps.strand(local, null);
      else if (local.empty) local.follower.reset();
      else local.follower.interrupt();
    }
  }

  restored(): void {
    this.#live = true;
    this.#gaps.start();
    for (const local of this.#channels.all()) {
      this.#gaps.tell(local);
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
    clearInterval(this.#renewing);
    this.#channels.close();
    this.#backlogs.close();
    this.#gaps.pause();
    this.#catchUps.rest();
  }

  #send(local: LocalChannel, message: Message, epoch: string, offset: number): void {
    const { counts, broadcast } = this.#options;
    const clients = local.seats.size;
    if (clients === 0) return;
    this.#gaps.tell(local);
    broadcast(local.topic, message, epoch, offset);
    counts.delivered += clients;
    counts.deliveredBytes += clients * byteLength(message);
    this.#backlogs.delivered(local, message.length);
  }

  /** On a channel with history only what has a position is delivered. */
  #ignore(local: LocalChannel): void {
    this.#options.counts.foreign += 1;
    if (local.foreign) return;
    local.foreign = true;
    this.#options.log.warn("a message from elsewhere is not delivered: this channel keeps history", { channel: local.name });
  }

  #renew(): void {
    const kept = this.#channels.all().filter(({ follower }) => follower !== undefined);
    if (kept.length > 0) this.history.renew(kept.map(({ name }) => name));
  }
}
