import type { Bus, BusListener, Shard } from "../bus/bus.ts";
import type { Sender } from "../bus/publisher.ts";
import type { Entries } from "../bus/history.ts";
import type { PresenceChange } from "../bus/presence.ts";
import type { Kind, Target } from "../channels/kind.ts";
import type { Counts } from "../counts.ts";
import { Problem } from "../errors.ts";
import type { Log } from "../log.ts";
import { byteLength, type Message } from "../message.ts";
import { parsePosition } from "../position.ts";
import { historyOf } from "../bus/bus.ts";
import { BacklogSweep, type BacklogLimits } from "./backlog-sweep.ts";
import type { Channel, ChannelHost } from "./channel.ts";
import { Channels } from "./channels.ts";
import { GapPacer } from "./gap-pacer.ts";
import { InstanceLog } from "./instance-log.ts";
import { Joins, type JoinFrom } from "./joins.ts";
import { PresenceTracker } from "./presence-tracker.ts";
import { Recovery, type Followed } from "./recovery.ts";
import { reloadKinds } from "./reload.ts";
import { Subscription, type Opening, type Subscriber } from "./subscription.ts";

/** Positions are valid for 24 h after this. */
const RENEW_MS = 3600 * 1000;

export interface HubOptions {
  openBus(listener: BusListener): Promise<Bus>;
  /** They may change at any time. */
  readonly limits: BacklogLimits;
  readonly counts: Counts;
  readonly log: Log;
}

/**
 * The heart of an instance: the subscriptions of local sessions to channels, and the way of each message from the bus to them. A loss
 * of one shard of the bus touches its channels only.
 */
export class Hub implements BusListener, ChannelHost {
  readonly counts: Counts;
  readonly log: Log;
  readonly #channels = new Channels(this);
  readonly #backlogs: BacklogSweep;
  readonly #gaps = new GapPacer();
  readonly #presence = new PresenceTracker(this);
  readonly #recovery = new Recovery(this);
  readonly #joins = new Joins(this, this.#recovery);
  /** Logs that the instance itself follows, by name. */
  readonly #own = new Map<string, InstanceLog>();
  /** Channels with history on which a message without position was reported. */
  readonly #foreign = new WeakSet<Channel>();
  readonly #renewing = setInterval(() => this.#renew(), RENEW_MS);
  #bus: Bus | undefined;

  private constructor({ limits, counts, log }: HubOptions) {
    this.counts = counts;
    this.log = log;
    this.#backlogs = new BacklogSweep(limits);
  }

  /** Opens the bus, and resolves when `openBus` does. */
  static async open(options: HubOptions): Promise<Hub> {
    const hub = new Hub(options);
    try {
      hub.#bus = await options.openBus(hub);
      return hub;
    } catch (error) {
      hub.#stop();
      throw error;
    }
  }

  get bus(): Bus {
    if (this.#bus === undefined) throw new Error("the hub is not open yet");
    return this.#bus;
  }

  /** Channels with subscribers here. */
  get channels(): number {
    return this.#channels.count;
  }

  /**
   * Joins a channel. `attach` runs in the very turn of the event loop in which the promise holds: everything published on the channel
   * from then on, and first the requested part of its history, reaches the subscriber that it returns. It may refuse by a `Problem`, or
   * by returning undefined.
   *
   * @returns the subscription; undefined where `attach` refused, or a reload has led the target elsewhere meanwhile
   * @throws Problem `bus-away` after 2.5 s, and whatever `attach` throws
   */
  async join(
    target: Target,
    from: JoinFrom | undefined,
    attach: (subscription: Subscription) => Subscriber | undefined,
  ): Promise<Subscription | undefined> {
    const channel = this.#channels.enter(target);
    const subscription = new Subscription(channel, target);
    channel.expect(subscription);
    try {
      if (!this.#joins.prepareAtOnce(channel, subscription, from)) {
        const opening = this.#joins.opening(channel, subscription, from);
        // After a move nobody waits for it.
        opening.catch(() => undefined);
        subscription.prepare((await Promise.race([opening, subscription.whenMoved()])) ?? undefined);
      }
      const subscriber = subscription.moved ? undefined : attach(subscription);
      if (subscriber === undefined) {
        subscription.leave();
        return undefined;
      }
      this.counts.joins += 1;
      subscription.begin(subscriber);
      this.#presence.update(subscription, channel.kind);
      return subscription;
    } catch (error) {
      subscription.leave();
      throw error;
    }
  }

  /**
   * The instance itself hears each message of a log from about now on, and after a loss everything that it missed, as far as the log
   * reaches.
   */
  follow({ channel: name, kind: { history } }: Target, hear: (message: Message) => void): void {
    if (history === undefined) throw new Error("an instance follows channels with history only");
    const own = new InstanceLog(name, history, this, hear);
    this.#own.set(name, own);
    own.subscribe();
  }

  /** Applies other kinds of channels. */
  reload(kinds: readonly Kind[]): void {
    reloadKinds(kinds, this.#channels, this.#presence);
  }

  /**
   * Publishes a message of a client; see `Publisher.publish`.
   *
   * @param key an idempotency key, on a channel with history
   */
  publish({ kind, channel }: Target, message: Message, sender: Sender, key?: string): void {
    const { counts } = this;
    counts.published += 1;
    counts.publishedBytes += byteLength(message);
    if (kind.history === undefined) this.bus.publish(channel, message, sender);
    else historyOf(this.bus).append(channel, message, kind.history, sender, key);
  }

  deliver(name: string, message: Message): void {
    const channel = this.#channels.get(name);
    if (channel?.log === undefined) channel?.deliver(message);
    else this.#reportForeign(channel);
  }

  deliverEntries(name: string, entries: Entries): void {
    const channel = this.#channels.get(name);
    if (channel !== undefined) channel.deliverEntries(entries);
    else this.#own.get(name)?.log.arrive(entries);
  }

  deliverPresence(name: string, change: PresenceChange): void {
    this.#channels.get(name)?.deliverPresence(change);
  }

  lost(shard: Shard): void {
    for (const channel of [...this.#channels.all, ...this.#own.values()]) {
      if (!shard.has(channel.name)) continue;
      this.#recovery.delete(channel);
      channel.lost();
    }
  }

  restored(shard: Shard): void {
    for (const channel of [...this.#channels.all, ...this.#own.values()]) if (shard.has(channel.name)) channel.subscribe();
  }

  behind(followed: Followed): void {
    this.#recovery.add(followed);
  }

  more(channel: Channel, subscription: Subscription): Promise<Opening | undefined> {
    const since = parsePosition(subscription.position ?? "");
    if (since === undefined) throw new Problem("gap", "There is no position to go on from.");
    return this.#joins.more(channel, subscription, since);
  }

  endByGap(subscription: Subscription): void {
    this.#gaps.add(subscription);
  }

  left(channel: Channel, subscription: Subscription): void {
    this.#gaps.delete(subscription);
    this.#presence.end(subscription);
    if (channel.empty) this.#channels.vacated(channel);
  }

  delivered(channel: Channel, unchecked: number, isFirst: boolean): void {
    this.#backlogs.delivered(channel, unchecked, isFirst);
  }

  close(): void {
    this.#stop();
    this.bus.close();
  }

  #stop(): void {
    clearInterval(this.#renewing);
    this.#channels.close();
    this.#backlogs.close();
    this.#gaps.close();
    this.#recovery.close();
  }

  /** On a channel with history only messages with a position are delivered. */
  #reportForeign(channel: Channel): void {
    this.counts.foreign += 1;
    if (this.#foreign.has(channel)) return;
    this.#foreign.add(channel);
    this.log.warn("a message from elsewhere was not delivered: its channel keeps history", { channel: channel.name });
  }

  #renew(): void {
    const names = [...this.#channels.all, ...this.#own.values()].filter(({ log }) => log !== undefined).map(({ name }) => name);
    if (names.length > 0) historyOf(this.bus).renew(names);
  }
}
