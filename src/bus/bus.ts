import type { Counts } from "../counts.ts";
import type { Log } from "../log.ts";
import type { Message } from "../message.ts";
import type { Position, Retention } from "../position.ts";
import type { Problem } from "../errors.ts";

/**
 * The contract between instances.
 *
 * Order: the messages of a channel are delivered in one order on every instance, the publishing one included, and two
 * messages of one sender in the order in which it published them.
 * How often: a message is delivered at most once. It is delivered to every instance that was subscribed from before its
 * publication until after it, unless that instance is told by `lost()`.
 */
export interface Bus extends Publishing {
  /** True while messages go out and every subscription is acknowledged. */
  readonly ready: boolean;
  /** Messages that are on their way to the bus. */
  readonly waiting: number;

  /**
   * Asks for the messages of a channel. Resolves once everything published from then on will be delivered here; while
   * the bus is away it stays pending, and it never rejects. Undefined where it is so already. Asking twice is one subscription.
   */
  subscribe(channel: string): Promise<void> | undefined;

  /** Ends a subscription at once, acknowledged or not. */
  unsubscribe(channel: string): void;

  /** Ends the connections. What still waits is refused, nothing is delivered afterwards. */
  close(): void;

  /** Abilities that a bus may lack. */
  readonly history?: History;
  readonly presence?: Presence;
}

/**
 * The log of a channel. All instances see one: a message has one position, whoever asks.
 *
 * What is forgotten is told: whenever offsets could be given a second time, the log gets a new epoch.
 */
export interface History {
  /**
   * Appends and publishes in one step, then tells the sender once, as `Publishing.publish` does. It is delivered once, however
   * often this instance has to write it. Two messages of one sender on two channels have no order, unless the first is confirmed.
   *
   * @param key within 60 s a second message with it is not published, and is confirmed with the position of the first
   */
  append(channel: string, message: Message, retention: Retention, sender: Sender, key?: string): void;

  /**
   * What is kept of a channel. The log holds everything that was delivered here before the call.
   *
   * @throws Problem `bus-away`
   */
  read(channel: string, retention: Retention, from: ReadFrom): Promise<Page>;

  /** Keeps the positions of channels valid for another 24 h; appending and reading do so, too. */
  renew(channels: readonly string[]): void;
}

export interface ReadFrom {
  /** Undefined: the newest ones. */
  readonly since?: Position;
  /** The stamp of the entry at that position, if it was seen. Another one there, or a counter behind it, begins a new epoch. */
  readonly stamp?: number;
  /** Messages at most. */
  readonly limit: number;
  /** Bytes after which the page ends, if it has a message; it may then end before the log does. */
  readonly bytes: number;
  /** Whether the position stays valid for 24 h from now on: for those who follow the channel. */
  readonly keepsAlive: boolean;
}

/** A part of a log, ascending without holes. */
export interface Page {
  readonly epoch: string;
  /** The offset of the newest message of the log; 0 before the first. */
  readonly head: number;
  /** The stamp of the last message here, or where there is none, of the newest one. */
  readonly stamp: number;
  /** Whether everything after the position is kept; otherwise all that is kept follows. Null without a position. */
  readonly resumed: boolean | null;
  /** The offset after which the messages begin. */
  readonly start: number;
  readonly messages: readonly Message[];
}

/** Consecutive messages of a log, as they are delivered. */
export interface Entries {
  readonly epoch: string;
  /** The offset of the first one. */
  readonly first: number;
  /** Tells these entries from others that were given the same offsets, where the bus had forgotten. */
  readonly stamp: number;
  readonly messages: readonly Message[];
}

/** Who is on a channel, cluster-wide. What an instance said is forgotten within 30 s of its end. */
export interface Presence {
  /** One more connection of a member, or of nobody in particular. */
  enter(channel: string, member: string | null): void;
  leave(channel: string, member: string | null): void;
  /** @throws Problem `bus-away` */
  present(channel: string): Promise<Present>;
}

export interface Present {
  /** Connections, of members and others. */
  readonly count: number;
  /** Connections of each member. */
  readonly members: ReadonlyMap<string, number>;
}

export interface Publishing {
  /**
   * Publishes, or keeps for later while the bus is away (bounded), then tells the sender once: `confirmed`, or `refused`.
   * Never throws.
   */
  publish(channel: string, message: Message, sender: Sender): void;

  /**
   * Claims a tick for the whole cluster and publishes its message, in one step: of all instances that call this for one
   * tick, one publishes. Resolves to whether it was this one.
   *
   * @throws Problem `bus-away`, `not-confirmed`; a tick is never kept for later
   */
  publishTick(tick: Tick): Promise<boolean>;

  /** Resolves once all that was accepted is settled with its sender and, where confirmed, delivered to this instance. */
  settled(): Promise<void>;
}

/** Who hears what became of a message. One object may stand for all messages of a client. */
export interface Sender {
  /** The bus has the message, at this position, or null on a channel without history. */
  confirmed(position: Position | null): void;
  /** Not confirmed: what was already written may still arrive, what was only queued never will. */
  refused(problem: Problem): void;
  /** True once a message was refused: what the sender still has in the queue is dropped, so that none arrives after the hole. */
  readonly broken: boolean;
}

export interface Tick {
  /** Names the schedule, the same on every instance. */
  readonly schedule: string;
  /** When the tick was due, in milliseconds since 1970. */
  readonly dueMs: number;
  /** Milliseconds to the next one. */
  readonly periodMs: number;
  readonly channel: string;
  /** Of a channel with history. */
  readonly retention: Retention | undefined;
  readonly text: string;
}

/** What a bus tells its instance, always in order and never while one of its own methods runs, but for deliveries and the senders. */
export interface BusListener {
  deliver(channel: string, message: Message): void;
  /** Entries of a log. They may repeat others, and after a loss they may skip some: who listens follows the positions. */
  deliverEntries(channel: string, entries: Entries): void;
  /** Every subscription has ended: whatever is published from now on may be missed, until it is live again. */
  lost(): void;
  /** Every subscription is acknowledged (again). Those that were lost have a gap. */
  restored(): void;
}

/** What may wait for the bus, and how long. It may change at any time. */
export interface PublishLimits {
  readonly publishQueue: number;
  readonly publishQueueBytes: number;
  readonly publishTimeoutMs: number;
}

export interface BusOptions {
  /** `redis://` or `rediss://`; empty for the embedded memory bus. */
  readonly url: string;
  /** Stands before every channel and key on a shared Redis. */
  readonly prefix: string;
  readonly limits: PublishLimits;
  readonly counts: Counts;
  readonly log: Log;
}

/**
 * Opens a bus. Resolves once it is live, or at the first sign that it is not to be had now (it goes on trying then).
 * Never rejects: that a bus is away is a state, not an error.
 */
export type OpenBus = (options: BusOptions, listener: BusListener) => Promise<Bus>;
