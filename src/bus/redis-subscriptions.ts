import { ReplyError } from "ioredis";
import { describeError, type Log } from "../log.ts";
import type { Seen } from "./evidence.ts";
import type { RedisLink } from "./redis-link.ts";

/** Acknowledgements are awaited in portions: a connection that dies among too many of them has confused clients before. */
const SUBSCRIBE_BATCH = 512;
const REFUSED_RETRY_MS = 1000;

export interface Subscription {
  readonly channel: string;
  /** The name in Redis, a character for each byte. */
  readonly bytes: string;
  /** How its PUBLISH begins, when something was published here. */
  head: Buffer | undefined;
  /** What was seen of its log, if it has one. */
  seen: Seen | undefined;
  /** Redis does not permit it, which was logged. */
  refused: boolean;
  /** Undefined once it is live. */
  pending: PromiseWithResolvers<void> | undefined;
}

export interface RedisSubscriptionsOptions {
  readonly link: RedisLink;
  readonly prefix: string;
  readonly log: Log;
  /** All of them are live, in the turn in which they became it; `again` after a loss. */
  readonly restored: (again: boolean) => void;
}

/** What an instance is subscribed to in Redis, over one connection; whenever that comes back it asks for all of them anew. */
export class RedisSubscriptions {
  readonly #options: RedisSubscriptionsOptions;
  readonly #byChannel = new Map<string, Subscription>();
  /** The same, by their `bytes`. */
  readonly #byBytes = new Map<string, Subscription>();
  #asked: Subscription[] = [];
  /** Counts connections: what was awaited on an earlier one says nothing about this one. */
  #session = 0;
  #live = false;
  #closed = false;

  constructor(options: RedisSubscriptionsOptions) {
    this.#options = options;
  }

  /** Whether all that was asked for before the connection came is acknowledged. */
  get live(): boolean {
    return this.#live;
  }

  get count(): number {
    return this.#byChannel.size;
  }

  get(channel: string): Subscription | undefined {
    return this.#byChannel.get(channel);
  }

  /** @param bytes the name in Redis, a character for each byte */
  named(bytes: string): Subscription | undefined {
    return this.#byBytes.get(bytes);
  }

  /** See `Bus.subscribe`. */
  subscribe(channel: string): Promise<void> | undefined {
    let subscription = this.#byChannel.get(channel);
    if (subscription === undefined) {
      const bytes = Buffer.from(this.#options.prefix + channel).toString("latin1");
      const pending = Promise.withResolvers<void>();
      subscription = { channel, bytes: bytes === channel ? channel : bytes, head: undefined, seen: undefined, refused: false, pending };
      this.#byChannel.set(channel, subscription);
      this.#byBytes.set(bytes, subscription);
      if (this.#asked.push(subscription) === 1) setImmediate(() => this.#subscribeAsked());
    }
    return subscription.pending?.promise;
  }

  unsubscribe(channel: string): void {
    const { link, prefix, log } = this.#options;
    const subscription = this.#byChannel.get(channel);
    if (subscription === undefined) return;
    this.#byChannel.delete(channel);
    this.#byBytes.delete(subscription.bytes);
    if (!link.up) return;
    link.client.unsubscribe(prefix + channel).catch((error: unknown) => log.debug("unsubscribing failed", { error: describeError(error) }));
  }

  /** The connection is there: asks for all of them. */
  restore(): void {
    this.#resubscribe().catch((error: unknown) => this.#interrupted(error));
  }

  /** The connection is gone, or could not be had. Returns whether anything was lost by that. */
  lost(): boolean {
    this.#session += 1;
    let lost = this.#live;
    this.#live = false;
    for (const subscription of this.#byChannel.values()) {
      if (subscription.pending !== undefined) continue;
      subscription.pending = Promise.withResolvers();
      lost = true;
    }
    // An attempt to connect that fails loses nothing more.
    return lost;
  }

  close(): void {
    this.#closed = true;
    this.#live = false;
  }

  async #resubscribe(): Promise<void> {
    const session = (this.#session += 1);
    const all = [...this.#byChannel.values()];
    for (let start = 0; start < all.length; start += SUBSCRIBE_BATCH) {
      await this.#acknowledge(all.slice(start, start + SUBSCRIBE_BATCH));
      if (session !== this.#session) return;
    }
    // From the last acknowledgement to here is one turn: nobody can have asked for more in between and been forgotten.
    this.#live = true;
    this.#options.restored(session > 1);
  }

  #subscribeAsked(): void {
    const asked = this.#asked;
    this.#asked = [];
    // Without a connection the next one subscribes to everything.
    if (!this.#options.link.up || this.#closed) return;
    for (let start = 0; start < asked.length; start += SUBSCRIBE_BATCH) {
      this.#acknowledge(asked.slice(start, start + SUBSCRIBE_BATCH)).catch((error: unknown) => this.#interrupted(error));
    }
  }

  /**
   * Subscribes and waits; what Redis does not permit stays unacknowledged. It marks the subscriptions it was given, not those
   * that stand under their names by then.
   */
  async #acknowledge(asked: readonly Subscription[]): Promise<void> {
    const { link, prefix } = this.#options;
    // Some may have been given up while they waited for their turn.
    const subscriptions = asked.filter((one) => this.#byChannel.get(one.channel) === one);
    if (subscriptions.length === 0) return;
    try {
      await link.client.subscribe(...subscriptions.map(({ channel }) => prefix + channel));
    } catch (error) {
      if (!(error instanceof ReplyError)) throw error;
      // Redis refuses all for one that it does not permit: the others must not suffer for it.
      const [one, ...more] = subscriptions;
      if (one === undefined || more.length > 0) for (const each of subscriptions) await this.#acknowledge([each]);
      else this.#refusedByRedis(one, error);
      return;
    }
    for (const subscription of subscriptions) {
      const { pending } = subscription;
      subscription.refused = false;
      subscription.pending = undefined;
      pending?.resolve();
    }
  }

  /** Tries again as long as somebody waits for it: permissions change. */
  #refusedByRedis(subscription: Subscription, error: unknown): void {
    const { link, log } = this.#options;
    const { channel, refused } = subscription;
    if (!refused) log.error("redis refused a subscription", { channel, error: describeError(error) });
    subscription.refused = true;
    setTimeout(() => {
      if (this.#closed || subscription.pending === undefined || this.#byChannel.get(channel) !== subscription || !link.up) return;
      this.#acknowledge([subscription]).catch((failure: unknown) => this.#interrupted(failure));
    }, REFUSED_RETRY_MS).unref();
  }

  /** The connection died meanwhile; the next one subscribes to everything. */
  #interrupted(error: unknown): void {
    this.#options.log.debug("subscribing was interrupted", { error: describeError(error) });
  }
}
