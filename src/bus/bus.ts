import type { Log } from "../log.ts";
import type { Message } from "../message.ts";
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

  /**
   * Asks for the messages of a channel. Resolves once everything published from then on will be delivered here; while
   * the bus is away it stays pending, and it never rejects. Asking twice is one subscription.
   */
  subscribe(channel: string): Promise<void>;

  /** Ends a subscription at once, acknowledged or not. */
  unsubscribe(channel: string): void;

  /** Ends the connections. What still waits is refused, nothing is delivered afterwards. */
  close(): void;
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
  /** The bus has the message. `id` is its position, or null on a channel without history. */
  confirmed(id: string | null): void;
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
  readonly text: string;
}

/** What a bus tells its instance, always in order and never while one of its own methods runs, but for `deliver` and the senders. */
export interface BusListener {
  deliver(channel: string, message: Message): void;
  /** Every subscription has ended: whatever is published from now on may be missed, until it is live again. */
  lost(): void;
  /** Every subscription is acknowledged (again). Those that were lost have a gap. */
  restored(): void;
}

/** What may wait for the bus, and how long. */
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
  readonly log: Log;
}

/**
 * Opens a bus. Resolves once it is live, or at the first sign that it is not to be had now (it goes on trying then).
 * Never rejects: that a bus is away is a state, not an error.
 */
export type OpenBus = (options: BusOptions, listener: BusListener) => Promise<Bus>;
