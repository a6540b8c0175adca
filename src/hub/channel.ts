import type { Entries } from "../bus/history.ts";
import type { Bus } from "../bus/bus.ts";
import type { PresenceChange } from "../bus/presence.ts";
import type { Kind } from "../channels/kind.ts";
import type { Counts } from "../counts.ts";
import { WakeUps } from "../lib/time.ts";
import { byteLength, type Message } from "../message.ts";
import type { Retention } from "../position.ts";
import { Audience } from "./audience.ts";
import { LogFollower, type LogListener } from "./log-follower.ts";
import type { Followed } from "./recovery.ts";
import type { Opening, SubscribedChannel, Subscriber, Subscription } from "./subscription.ts";

/** The hub, as its channels see it. */
export interface ChannelHost {
  readonly bus: Bus;
  readonly counts: Counts;
  /** The log of a channel has to be read. */
  behind(channel: Channel): void;
  /** The next part of a replay. */
  more(channel: Channel, subscription: Subscription): Promise<Opening | undefined>;
  /** A subscription has a gap and has to be ended; its client can come back. */
  endByGap(subscription: Subscription): void;
  /** A subscription has ended; the channel may be empty now. */
  left(channel: Channel, subscription: Subscription): void;
  /** A message was broadcast; `unchecked` is the length of all since the last `checkBacklogs`. */
  delivered(channel: Channel, unchecked: number, isFirst: boolean): void;
}

/** A channel with subscribers on this instance, or that had some a moment ago. */
export class Channel implements SubscribedChannel, Followed, LogListener {
  readonly name: string;
  /** Undefined on a channel without history. */
  readonly log: LogFollower | undefined;
  readonly #host: ChannelHost;
  #kind: Kind;
  readonly #audience: Audience;
  #pending: Set<Subscription> | undefined;
  /** True while everything that is published is delivered here. */
  #live = false;
  /** Counts losses: an acknowledgement of an earlier subscription says nothing. */
  #losses = 0;
  #closed = false;
  #unchecked = 0;
  /** Subscriptions with a gap, to be ended once the channel is live again; they stay here until they have left. */
  #detached: Set<Subscription> | undefined;
  /** Subscriptions to notify of a gap before the next message. */
  #unreported: Set<Subscription> | undefined;
  /** Joins that wait for the channel to be live; mostly none. */
  #liveness: WakeUps | undefined;

  constructor(name: string, kind: Kind, host: ChannelHost) {
    this.name = name;
    this.#kind = kind;
    this.#host = host;
    this.#audience = new Audience(name);
    this.log = kind.history === undefined ? undefined : new LogFollower(this);
  }

  /** The newest kind that the configuration has for it. */
  get kind(): Kind {
    return this.#kind;
  }

  get live(): boolean {
    return this.#live;
  }

  /** True once it was released or replaced. */
  get closed(): boolean {
    return this.#closed;
  }

  get empty(): boolean {
    return this.#audience.empty && this.#pending === undefined && this.#detached === undefined;
  }

  /** All subscriptions, pending ones too; a copy. */
  get everybody(): Subscription[] {
    return [...this.#audience.all, ...(this.#pending ?? []), ...(this.#detached ?? [])];
  }

  /** Undefined on a channel without history. */
  get retention(): Retention | undefined {
    return this.#kind.history;
  }

  /** False where a kind begins or ends to keep history. */
  suits(kind: Kind): boolean {
    return (this.log === undefined) === (kind.history === undefined);
  }

  become(kind: Kind): void {
    this.#kind = kind;
  }

  /** Asks the bus for the channel's messages; live once the bus acknowledges. */
  subscribe(): void {
    if (this.#live || this.#closed) return;
    const losses = this.#losses;
    const acknowledged = this.#host.bus.subscribe(this.name);
    if (acknowledged === undefined) this.#becomeLive();
    else void acknowledged.then(() => losses === this.#losses && this.#becomeLive());
  }

  /** Resolves to true in the turn in which the channel is live, to false at the deadline (milliseconds since 1970). */
  async whenLive(deadlineMs: number): Promise<boolean> {
    while (!this.#live) if (!(await (this.#liveness ??= new WakeUps()).wait(deadlineMs))) return false;
    return true;
  }

  /** The bus lost it: messages may be missed until it is live again. */
  lost(): void {
    this.#losses += 1;
    this.#live = false;
    if (this.log === undefined) this.#gap(null);
    else if (this.empty) this.log.reset();
    else this.log.interrupt();
  }

  /** It was released, or another channel took its name. */
  close(): void {
    this.#closed = true;
    this.#endDetached();
  }

  expect(subscription: Subscription): void {
    (this.#pending ??= new Set()).add(subscription);
  }

  activate(subscription: Subscription, subscriber: Subscriber): void {
    this.#settle(subscription);
    this.#audience.add(subscription, subscriber);
  }

  remove(subscription: Subscription): void {
    this.#settle(subscription);
    this.#unreported?.delete(subscription);
    if (this.#detached?.delete(subscription) === true && this.#detached.size === 0) this.#detached = undefined;
    this.#audience.delete(subscription);
    this.#host.left(this, subscription);
  }

  more(subscription: Subscription): Promise<Opening | undefined> {
    return this.#host.more(this, subscription);
  }

  /** The subscription's path leads to another channel: its client is sent away as after a gap. */
  move(subscription: Subscription): void {
    subscription.move();
    if (subscription.state === "pending") return;
    this.#settle(subscription);
    this.#unreported?.delete(subscription);
    if (this.#detached?.has(subscription) !== true) this.#detach(subscription);
  }

  abandon(): void {
    for (const subscription of this.#audience.all) this.#detach(subscription);
  }

  deliver(message: Message): void {
    this.follow(message, "", 0);
  }

  deliverEntries(entries: Entries): void {
    if (this.log !== undefined) this.log.arrive(entries);
    else for (const message of entries.messages) this.follow(message, "", 0);
  }

  deliverPresence(change: PresenceChange): void {
    this.#reportGaps();
    this.#audience.broadcastPresence(change);
  }

  follow(message: Message, epoch: string, offset: number): void {
    if (this.#unreported !== undefined) this.#reportGaps();
    const clients = this.#audience.broadcast(message, epoch, offset);
    if (clients === 0) return;
    const { counts } = this.#host;
    counts.delivered += clients;
    counts.deliveredBytes += clients * byteLength(message);
    const isFirst = this.#unchecked === 0;
    this.#unchecked += message.length;
    this.#host.delivered(this, this.#unchecked, isFirst);
  }

  missed(left: string): void {
    this.#gap(left);
  }

  behind(): void {
    this.#host.behind(this);
  }

  checkBacklogs(): void {
    this.#unchecked = 0;
    this.#audience.checkBacklogs();
  }

  #becomeLive(): void {
    if (this.#live) return;
    this.#live = true;
    this.#reportGaps();
    this.#endDetached();
    if (this.log?.live === false && !this.empty) this.#host.behind(this);
    this.#liveness?.wake();
  }

  /** Active subscriptions may have missed something. */
  #gap(left: string | null): void {
    for (const subscription of this.#audience.all) {
      const policy = subscription.subscriber?.gapPolicyOf(subscription);
      if (policy === "report") (this.#unreported ??= new Set()).add(subscription);
      else if (policy === "end") {
        subscription.freeze(left);
        this.#detach(subscription);
      }
    }
    if (this.#live) this.#reportGaps();
  }

  /** Nothing more is sent to it; it is ended once its client can come back. */
  #detach(subscription: Subscription): void {
    this.#host.counts.gaps += 1;
    subscription.freeze(subscription.position);
    this.#audience.delete(subscription);
    (this.#detached ??= new Set()).add(subscription);
    if (this.#live) this.#host.endByGap(subscription);
  }

  #endDetached(): void {
    for (const subscription of this.#detached ?? []) this.#host.endByGap(subscription);
  }

  #reportGaps(): void {
    const unreported = this.#unreported;
    if (unreported === undefined) return;
    this.#unreported = undefined;
    this.#host.counts.gaps += unreported.size;
    for (const subscription of unreported) subscription.subscriber?.gap(subscription, this.log?.position ?? null);
  }

  #settle(subscription: Subscription): void {
    this.#pending?.delete(subscription);
    if (this.#pending?.size === 0) this.#pending = undefined;
  }
}
