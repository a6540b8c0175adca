import { describeError, type Log } from "../../log.ts";
import { isRefusal, type RedisConnection } from "./connection.ts";
import type { LastSeen } from "./loss-detector.ts";

/** Acknowledgements are awaited in portions: a connection that dies among too many of them has confused clients before. */
const SUBSCRIBE_BATCH = 512;
const REFUSED_RETRY_MS = 1000;

export interface RedisSubscription {
  readonly channel: string;
  /** The name in Redis, a character for each byte. */
  readonly bytes: string;
  /** The beginning of its PUBLISH, once something was published here. */
  head: Buffer | undefined;
  /** The newest entry seen of its log, if it has one. */
  seen: LastSeen | undefined;
  /** True if Redis does not permit it, which was logged. */
  refused: boolean;
  /** Undefined once it is live. */
  pending: PromiseWithResolvers<void> | undefined;
}

/** The subscriptions of an instance in one Redis, over one connection; whenever that comes back it asks for all of them again. */
export class RedisSubscriptions {
  readonly #connection: RedisConnection;
  readonly #prefix: string;
  readonly #log: Log;
  readonly #byChannel = new Map<string, RedisSubscription>();
  /** The same, by their `bytes`. */
  readonly #byBytes = new Map<string, RedisSubscription>();
  #asked: RedisSubscription[] = [];
  /** Counts connections: acknowledgements that were awaited on an earlier one mean nothing on this one. */
  #session = 0;
  #live = false;
  #closed = false;

  constructor(connection: RedisConnection, prefix: string, log: Log) {
    this.#connection = connection;
    this.#prefix = prefix;
    this.#log = log;
  }

  /** True if everything that was asked for before the connection came is acknowledged. */
  get live(): boolean {
    return this.#live;
  }

  get count(): number {
    return this.#byChannel.size;
  }

  get(channel: string): RedisSubscription | undefined {
    return this.#byChannel.get(channel);
  }

  /** @param bytes the name in Redis, a character for each byte */
  named(bytes: string): RedisSubscription | undefined {
    return this.#byBytes.get(bytes);
  }

  /** See `Bus.subscribe`. */
  subscribe(channel: string): Promise<void> | undefined {
    let subscription = this.#byChannel.get(channel);
    if (subscription === undefined) {
      const bytes = Buffer.from(this.#prefix + channel).toString("latin1");
      const pending = Promise.withResolvers<void>();
      subscription = { channel, bytes: bytes === channel ? channel : bytes, head: undefined, seen: undefined, refused: false, pending };
      this.#byChannel.set(channel, subscription);
      this.#byBytes.set(bytes, subscription);
      if (this.#asked.push(subscription) === 1) setImmediate(() => this.#subscribeAsked());
    }
    return subscription.pending?.promise;
  }

  unsubscribe(channel: string): void {
    const subscription = this.#byChannel.get(channel);
    if (subscription === undefined) return;
    this.#byChannel.delete(channel);
    this.#byBytes.delete(subscription.bytes);
    if (this.#connection.up) this.#connection.unsubscribe(this.#prefix + channel);
  }

  /** The connection is there: asks for all of them. @param restored is called in the turn in which all are live */
  restore(restored: (again: boolean) => void): void {
    this.#resubscribe(restored).catch((error: unknown) => this.#interrupted(error));
  }

  /** The connection is gone, or could not be had. Returns true if anything was lost by that. */
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

  async #resubscribe(restored: (again: boolean) => void): Promise<void> {
    const session = (this.#session += 1);
    const all = [...this.#byChannel.values()];
    for (let start = 0; start < all.length; start += SUBSCRIBE_BATCH) {
      await this.#acknowledge(all.slice(start, start + SUBSCRIBE_BATCH));
      if (session !== this.#session) return;
    }
    // From the last acknowledgement to here is one turn: nobody can have asked for more in between and been forgotten.
    this.#live = true;
    restored(session > 1);
  }

  #subscribeAsked(): void {
    const asked = this.#asked;
    this.#asked = [];
    // Without a connection the next one subscribes to everything.
    if (!this.#connection.up || this.#closed) return;
    for (let start = 0; start < asked.length; start += SUBSCRIBE_BATCH) {
      this.#acknowledge(asked.slice(start, start + SUBSCRIBE_BATCH)).catch((error: unknown) => this.#interrupted(error));
    }
  }

  /**
   * Subscribes and waits; a channel that Redis does not permit stays unacknowledged. It marks the subscriptions it was given, not
   * those that have taken their names by then.
   */
  async #acknowledge(asked: readonly RedisSubscription[]): Promise<void> {
    // Some may have been given up while they waited for their turn.
    const subscriptions = asked.filter((one) => this.#byChannel.get(one.channel) === one);
    if (subscriptions.length === 0) return;
    try {
      await this.#connection.subscribe(subscriptions.map(({ channel }) => this.#prefix + channel));
    } catch (error) {
      if (!isRefusal(error)) throw error;
      // Redis refuses all of them for one that it does not permit: the others must not suffer for it.
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
  #refusedByRedis(subscription: RedisSubscription, error: unknown): void {
    const { channel, refused } = subscription;
    if (!refused) this.#log.error("redis refused a subscription", { channel, error: describeError(error) });
    subscription.refused = true;
    setTimeout(() => {
      if (this.#closed || subscription.pending === undefined || this.#byChannel.get(channel) !== subscription) return;
      if (!this.#connection.up) return;
      this.#acknowledge([subscription]).catch((failure: unknown) => this.#interrupted(failure));
    }, REFUSED_RETRY_MS).unref();
  }

  /** The connection died meanwhile; the next one subscribes to everything. */
  #interrupted(error: unknown): void {
    this.#log.debug("subscribing was interrupted", { error: describeError(error) });
  }
}
