import type { Counts } from "../counts.ts";
import type { Log } from "../log.ts";
import type { Message } from "../message.ts";
import type { Publisher, PublishLimits } from "./publisher.ts";
import type { Entries, History } from "./history.ts";
import type { Presence, PresenceChange } from "./presence.ts";
import type { Ticks } from "./ticks.ts";

/**
 * The contract between instances.
 *
 * Order: every instance, the publishing one included, delivers the messages of a channel in the same order. Two messages of one
 * sender arrive in the order in which it published them, also on two channels of one shard.
 *
 * Frequency: a message is delivered at most once. Every instance that was subscribed from before its publication until after it
 * gets it, unless `lost()` reports the channel's shard.
 */
export interface Bus extends Publisher {
  /** Messages on their way to the bus. */
  readonly waiting: number;

  /** Optional abilities; `requireAbilities` compares them with what the configuration asks for. */
  readonly history?: History;
  readonly presence?: Presence;
  readonly ticks?: Ticks;

  /**
   * True while messages of the channel go out and its subscription, if there is one, is live; without a channel, while that holds
   * for every shard.
   */
  ready(channel?: string): boolean;

  /**
   * Asks for the messages of a channel. Resolves once everything published from then on will be delivered here. Stays pending
   * while the channel's shard is away, never rejects. Undefined where the subscription is live already. Asking twice makes one
   * subscription.
   */
  subscribe(channel: string): Promise<void> | undefined;

  /** Ends a subscription at once, acknowledged or not. */
  unsubscribe(channel: string): void;

  /** Ends the connections. Waiting messages are refused, and nothing is delivered afterwards. */
  close(): void;
}

/** The channels that are lost and restored together: those of one Redis, or of one master of a Cluster. */
export interface Shard {
  readonly name: string;
  has(channel: string): boolean;
}

/** Hears everything in order, and never while one of the bus's own methods runs, except for deliveries and senders. */
export interface BusListener {
  deliver(channel: string, message: Message): void;
  /** Entries of a log. They may repeat others, and after a loss they may skip some: the listener goes by their positions. */
  deliverEntries(channel: string, entries: Entries): void;
  /** A member joined or left, in the channel's order. */
  deliverPresence(channel: string, change: PresenceChange): void;
  /** Every live subscription of the shard has ended. Messages published from now on may be missed, until `restored`. */
  lost(shard: Shard): void;
  /** Every subscription of the shard is acknowledged (again), in the turn in which the last acknowledgement was read. */
  restored(shard: Shard): void;
}

export interface BusOptions {
  /** `redis://` or `rediss://`; empty for the embedded memory bus. */
  readonly url: string;
  /** Precedes every channel and key on a shared Redis. */
  readonly prefix: string;
  readonly limits: PublishLimits;
  readonly counts: Counts;
  readonly log: Log;
}

/**
 * Opens a bus. Resolves once it is live, or at the first sign that it is away (it keeps trying then). Never rejects: an absent bus
 * is a state, not an error.
 */
export type OpenBus = (options: BusOptions, listener: BusListener) => Promise<Bus>;

/** The history of a bus. @throws Error where it keeps none, which `requireAbilities` has found at the start */
export function historyOf({ history }: Bus): History {
  if (history === undefined) throw new Error("this bus keeps no history");
  return history;
}

/** The presence of a bus. @throws Error where it has none, which `requireAbilities` has found at the start */
export function presenceOf({ presence }: Bus): Presence {
  if (presence === undefined) throw new Error("this bus has no presence");
  return presence;
}
