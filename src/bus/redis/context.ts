import type { Counts } from "../../counts.ts";
import type { Log } from "../../log.ts";
import type { OutboxTotal } from "../outbox-bounds.ts";
import { RedisConnection } from "./connection.ts";
import { ChannelKeys } from "./keys.ts";
import { LossDetector } from "./loss-detector.ts";
import { RedisSubscriptions } from "./subscriptions.ts";

/** Everything that the shards of a bus share. */
export interface BusContext {
  /** Precedes every channel and key. */
  readonly prefix: string;
  /** Names this instance among all: 8 letters and digits. */
  readonly instance: string;
  readonly total: OutboxTotal;
  readonly counts: Counts;
  readonly log: Log;
}

/**
 * Everything that the parts of one shard share. One connection publishes, one subscribes, since a long backlog of deliveries would
 * delay every answer.
 */
export class ShardContext {
  readonly bus: BusContext;
  readonly publisher: RedisConnection;
  readonly subscriber: RedisConnection;
  readonly subscriptions: RedisSubscriptions;
  readonly losses: LossDetector;
  #epochs = 0;

  constructor(bus: BusContext, url: string) {
    this.bus = bus;
    this.publisher = new RedisConnection(url, "publisher", bus.log);
    this.subscriber = new RedisConnection(url, "subscriber", bus.log);
    this.subscriptions = new RedisSubscriptions(this.subscriber, bus.prefix, bus.log);
    this.losses = new LossDetector(() => this.subscriptions.count);
  }

  /** Nothing is published while the own subscriptions are not live: it would reach nobody here. */
  get ready(): boolean {
    return this.publisher.up && this.subscriptions.live;
  }

  keys(channel: string): ChannelKeys {
    return new ChannelKeys(this.bus.prefix, channel);
  }

  /** The name of a channel in Redis. */
  nameOf(channel: string): string {
    return this.bus.prefix + channel;
  }

  /** An epoch that nobody has used, for a log that has to begin anew. */
  freshEpoch(): string {
    return `${this.bus.instance}${(this.#epochs += 1).toString(36)}`;
  }
}
