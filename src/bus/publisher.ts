import type { Problem } from "../errors.ts";
import type { Message } from "../message.ts";
import type { Position } from "../position.ts";

export interface Publisher {
  /**
   * Publishes, or keeps the message for later while the bus is away (bounded), then notifies the sender once: `confirmed` or
   * `refused`. Never throws.
   */
  publish(channel: string, message: Message, sender: Sender): void;

  /** Resolves once everything accepted so far is settled with its sender and, where confirmed, delivered to this instance. */
  settled(): Promise<void>;
}

/** Hears what became of a message. One object may stand for all messages of a client. */
export interface Sender {
  /** The bus has the message, at this position; null on a channel without history. */
  confirmed(position: Position | null): void;
  /** Not confirmed. Messages that were written may still arrive; messages that only waited never will. */
  refused(problem: Problem): void;
  /** True once a message was refused. Its other waiting messages are dropped, so that none arrives behind the hole. */
  readonly broken: boolean;
}

/** Bounds on what waits for the bus. They may change at any time. */
export interface PublishLimits {
  /** Messages. */
  readonly publishQueue: number;
  readonly publishQueueBytes: number;
  readonly publishTimeoutMs: number;
}
