import type { Member, PresenceChange } from "../bus/presence.ts";
import type { Target } from "../channels/kind.ts";
import type { ClosingFaultName } from "../errors.ts";
import type { Indexed } from "../lib/indexed-bag.ts";
import type { Message } from "../message.ts";
import { formatPosition } from "../position.ts";
import type { LogFollower } from "./log-follower.ts";

/** Sends each message of a topic to everybody who listens to it, encoded once. */
export interface FanOut {
  /** Names the protocol in the names of topics. */
  readonly name: string;
  /** @param epoch empty on a channel without history */
  broadcast(topic: string, channel: string, message: Message, epoch: string, offset: number): void;
  /** A member joined or left. Protocols without words for that send nothing. */
  broadcastPresence(topic: string, channel: string, change: PresenceChange): void;
}

/** Receives what is broadcast on topics. */
export interface Listener {
  readonly fanOut: FanOut;
  listen(topic: string): void;
  unlisten(topic: string): void;
  /** Closes itself if more waits for it than may. */
  checkBacklog(): void;
}

/** `end` ends the subscription, `ignore` goes on, and `report` goes on after `gap`. */
export type GapPolicy = "end" | "ignore" | "report";

/** A session, as its subscriptions see it. Every method is synchronous and must not throw. */
export interface Subscriber extends Listener {
  /** The member that the subscription counts for in presence; null for nobody in particular. */
  memberOf(subscription: Subscription): Member | null;
  gapPolicyOf(subscription: Subscription): GapPolicy;
  /** Sends messages of the log, the first of which has offset `first`. */
  replay(subscription: Subscription, messages: readonly Message[], epoch: string, first: number): void;
  /** Messages may be missing. What follows begins at the position, null on a channel without history. */
  gap(subscription: Subscription, position: string | null): void;
  /** The subscription has ended, and not by its session. Nothing was sent since its last message. */
  ended(subscription: Subscription, fault: ClosingFaultName): void;
}

/** The part of a log that a subscription starts with. */
export interface Opening {
  readonly epoch: string;
  /** The offset after which the messages begin. */
  readonly start: number;
  /** True if everything since the requested position was kept; null where no position was requested. */
  readonly resumed: boolean | null;
  readonly messages: readonly Message[];
  /** True if the messages reach the end of the log. */
  readonly whole: boolean;
}

/** The channel of a subscription, as far as the subscription needs it. */
export interface SubscribedChannel {
  readonly name: string;
  readonly log: LogFollower | undefined;
  activate(subscription: Subscription, subscriber: Subscriber): void;
  remove(subscription: Subscription): void;
  /** See {@link Subscription.more}. */
  more(subscription: Subscription): Promise<Opening | undefined>;
}

export type PublishFault = "forbidden" | "token-expired";

export type SubscriptionState = "pending" | "replaying" | "active" | "ended";

/**
 * One session on one channel.
 *
 * It is `pending` until the promise of `Hub.join` holds, `replaying` while the session still has to ask for parts of the log by
 * `more`, then `active`: it receives what is broadcast. It ends once: by its session, by a gap, or by a lost right.
 */
export class Subscription implements Indexed {
  index = -1;
  readonly channel: SubscribedChannel;
  #target: Target;
  #state: SubscriptionState = "pending";
  #subscriber: Subscriber | undefined;
  /** On a channel with history until it is active: what was not sent yet. */
  #opening: Opening | undefined;
  #buffering = false;
  #counted: "announced" | "silent" | undefined;
  #publishFault: PublishFault | undefined;
  #moved = false;
  #onMoved: (() => void) | undefined;
  #endPosition: string | undefined;

  constructor(channel: SubscribedChannel, target: Target) {
    this.channel = channel;
    this.#target = target;
    this.#buffer();
  }

  get target(): Target {
    return this.#target;
  }

  get state(): SubscriptionState {
    return this.#state;
  }

  get subscriber(): Subscriber | undefined {
    return this.#subscriber;
  }

  /** True once a reload has led its path to another channel: it receives nothing more, and what its session sends is not published. */
  get moved(): boolean {
    return this.#moved;
  }

  /** Undefined while presence does not count it; `announced` if its member's coming and going is reported. */
  get counted(): "announced" | "silent" | undefined {
    return this.#counted;
  }

  /** The fault for which what its session publishes here is refused; undefined where it has the right. */
  get publishFault(): PublishFault | undefined {
    return this.#publishFault;
  }

  get resumed(): boolean | null {
    return this.#opening?.resumed ?? null;
  }

  /** The position of the last message sent, or where the first one will follow; null on a channel without history. */
  get position(): string | null {
    if (this.#endPosition !== undefined) return this.#endPosition;
    if (this.#opening !== undefined) return formatPosition(this.#opening.epoch, this.#opening.start);
    return this.channel.log?.position ?? null;
  }

  /** The subscription is ready to begin with this part of the log; undefined on a channel without history. */
  prepare(opening: Opening | undefined): void {
    this.#opening = opening;
  }

  /** The session takes part from now on. Call it in the turn in which the promise holds. */
  begin(subscriber: Subscriber): void {
    // The session may have ended while it attached.
    if (this.#state !== "pending") return;
    this.#subscriber = subscriber;
    this.#goOn(subscriber);
  }

  /**
   * Sends the session the next part of the replay; with the last one the subscription is active. Call it when the client has read
   * the part before.
   *
   * @throws Problem `bus-away` after 2.5 s: try again; `gap` where the next part is not kept any more
   */
  async more(): Promise<void> {
    if (this.#state !== "replaying") return;
    this.#buffer();
    const next = await this.channel.more(this);
    // The client may have left meanwhile.
    if (next === undefined || this.#subscriber === undefined || !this.#is("replaying")) return;
    this.#opening = next;
    this.#goOn(this.#subscriber);
  }

  /** The configuration was read anew, and the channel stays the same. */
  retarget(target: Target): void {
    this.#target = target;
  }

  /** Its session's rights may have changed. */
  permit(fault: PublishFault | undefined): void {
    this.#publishFault = fault;
  }

  count(counted: "announced" | "silent" | undefined): void {
    this.#counted = counted;
  }

  /** The path leads elsewhere. */
  move(): void {
    this.#moved = true;
    this.#onMoved?.();
  }

  /** Resolves once the path leads elsewhere. */
  whenMoved(): Promise<void> {
    return new Promise((resolve) => {
      this.#onMoved = resolve;
    });
  }

  /** Sends nothing more; `position` is that of the last message. A second time does nothing. */
  freeze(position: string | null): void {
    this.#endPosition ??= position ?? undefined;
  }

  /** Ends it. A second time does nothing. */
  leave(): void {
    if (this.#state === "ended") return;
    this.freeze(this.position);
    this.#state = "ended";
    this.#unbuffer();
    this.channel.remove(this);
  }

  /** Sends what is ready; active if that reaches what is live. */
  #goOn(subscriber: Subscriber): void {
    const opening = this.#opening;
    const { log } = this.channel;
    if (log !== undefined && opening !== undefined) {
      const { epoch, start, messages, whole } = opening;
      const end = start + messages.length;
      const since = log.bufferedAfter(epoch, end);
      this.#unbuffer();
      if (!whole || since === undefined) {
        // The log may also have gone on too far, or begun anew, in this very turn: then the session asks for more.
        this.#state = "replaying";
        this.#opening = { ...opening, start: end, messages: [] };
        if (messages.length > 0) subscriber.replay(this, messages, epoch, start + 1);
        return;
      }
      if (messages.length > 0) subscriber.replay(this, messages, epoch, start + 1);
      if (since.length > 0) subscriber.replay(this, since, epoch, end + 1);
      // The session may have closed over what it was sent.
      if (this.#is("ended")) return;
    }
    this.#state = "active";
    this.#opening = undefined;
    this.channel.activate(this, subscriber);
  }

  /** A function: the state may change in every call and await. */
  #is(state: SubscriptionState): boolean {
    return this.#state === state;
  }

  /** Keeps what the log brings until this subscription has it. */
  #buffer(): void {
    if (this.#buffering) return;
    this.#buffering = true;
    this.channel.log?.buffer();
  }

  #unbuffer(): void {
    if (!this.#buffering) return;
    this.#buffering = false;
    this.channel.log?.unbuffer();
  }
}
