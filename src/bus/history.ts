import type { Message } from "../message.ts";
import type { Position, Retention } from "../position.ts";
import type { Sender } from "./publisher.ts";

declare const brand: unique symbol;

/** By a checkpoint a bus recognises one of its own entries again. Opaque: only the bus that made it understands it. See `Position`. */
export interface Checkpoint {
  readonly [brand]: true;
}

/**
 * The log of a channel. All instances see the same one: a message has one position, whoever asks.
 *
 * Forgetting is visible: a log that could give an offset a second time begins a new epoch.
 */
export interface History {
  /**
   * Appends and publishes in one step, then notifies the sender once, as `Publisher.publish` does. The message is delivered once,
   * however often this instance has to write it. Two messages of one sender on two channels have no order, unless the first is
   * confirmed.
   *
   * @param key an idempotency key: within 60 s a second message with it is not published, and is confirmed with the position of
   *   the first
   */
  append(channel: string, message: Message, retention: Retention, sender: Sender, key?: string): void;

  /**
   * Reads what is kept of a channel. The log holds everything that was delivered here before the call.
   *
   * @throws Problem `bus-away`
   */
  read(channel: string, retention: Retention, from: ReadFrom): Promise<Page>;

  /** Keeps the positions of channels valid for another 24 h, as appending and reading do. */
  renew(channels: readonly string[]): void;
}

export interface ReadFrom {
  /** Undefined: the newest messages. */
  readonly since?: Position;
  /** The checkpoint of the entry at that position, if the reader saw it. A log that lost this entry begins a new epoch. */
  readonly checkpoint?: Checkpoint;
  /** Messages at most. */
  readonly limit: number;
  /** Bytes after which the page ends, once it has a message; it may end before the log does. */
  readonly bytes: number;
  /** True for readers that follow the channel: the position stays valid for 24 h from now. */
  readonly keepsAlive: boolean;
}

/** A part of a log, ascending without holes. */
export interface Page {
  readonly epoch: string;
  /** The offset of the newest message of the log; 0 before the first. */
  readonly head: number;
  /** The checkpoint of the last message here or, on an empty page, of the newest message of the log. */
  readonly checkpoint?: Checkpoint;
  /** True if everything after the position is kept; otherwise all that is kept follows. Null without a position. */
  readonly resumed: boolean | null;
  /** The offset after which the messages begin. */
  readonly start: number;
  readonly messages: readonly Message[];
}

/** Consecutive messages of a log, as the bus delivers them. */
export interface Entries {
  readonly epoch: string;
  /** The offset of the first one. */
  readonly first: number;
  readonly checkpoint?: Checkpoint;
  readonly messages: readonly Message[];
}
