import type { Counts } from "../counts.ts";
import { Problem } from "../errors.ts";
import { describeError, type Log } from "../log.ts";
import type { Message } from "../message.ts";
import { keptMs } from "./append-call.ts";
import { Allowance } from "./allowance.ts";
import type { Bus, BusListener, BusOptions, OpenBus, Sender, Tick } from "./bus.ts";
import { ChannelKeys } from "./channel-keys.ts";
import { decodeFrame, encodeEntry, encodeFrame } from "./frame.ts";
import { PublishQueue, type Batch } from "./publish-queue.ts";
import { RedisHistory } from "./redis-history.ts";
import { RedisPresence } from "./redis-presence.ts";
import { RedisLink } from "./redis-link.ts";
import { loadScripts, tickScript } from "./redis-scripts.ts";
import { RedisSubscriptions } from "./redis-subscriptions.ts";
import { tapReplies, WrittenPublishes, type Received } from "./redis-wire.ts";
import { argumentsOf, Writer } from "./resp.ts";

const OPENING_MS = 3000;
const TICK_TTL_MS = 24 * 3600 * 1000;
const PUBLISH = Buffer.concat([Buffer.from("*3\r\n"), argumentsOf("PUBLISH")]);
/** What a PUBLISH takes besides its head and its payload, at most. */
const COMMAND_BYTES = 24;

export const openRedisBus: OpenBus = async (options, listener) => {
  const bus = new RedisBus(options, listener);
  await bus.open();
  return bus;
};

/**
 * Redis pub/sub. One connection publishes, one subscribes, since a long backlog of deliveries would delay every answer.
 * Nothing is published while the own subscriptions are not live: it would reach nobody here.
 */
class RedisBus implements Bus {
  readonly history: RedisHistory;
  readonly presence: RedisPresence;
  readonly #listener: BusListener;
  readonly #prefix: string;
  readonly #log: Log;
  readonly #publisher: RedisLink;
  readonly #subscriber: RedisLink;
  readonly #counts: Counts;
  readonly #allowance: Allowance;
  readonly #queue: PublishQueue;
  readonly #subscriptions: RedisSubscriptions;
  readonly #opened = Promise.withResolvers<void>();
  #flushing = false;
  #closed = false;

  constructor(options: BusOptions, listener: BusListener) {
    this.#listener = listener;
    this.#prefix = options.prefix;
    this.#log = options.log;
    this.#publisher = new RedisLink(options.url, "publisher", options.log);
    this.#subscriber = new RedisLink(options.url, "subscriber", options.log);
    const { prefix, log, limits, counts } = options;
    this.#subscriptions = new RedisSubscriptions({ link: this.#subscriber, prefix, log, restored: (again) => this.#restored(again) });
    this.#counts = counts;
    this.#allowance = new Allowance(limits);
    this.#queue = new PublishQueue(this.#allowance);
    const common = { link: this.#publisher, prefix, instance: instanceName(), log };
    this.history = new RedisHistory({
      ...common,
      allowance: this.#allowance,
      counts,
      ready: () => this.ready,
      followed: () => this.#subscriptions.count,
    });
    this.presence = new RedisPresence(common);
  }

  /** See {@link OpenBus}. */
  open(): Promise<void> {
    const { promise, resolve } = this.#opened;
    const timer = setTimeout(resolve, OPENING_MS);
    void promise.then(() => clearTimeout(timer));
    this.#publisher.open(
      () => {
        tapReplies(this.#publisher.client);
        loadScripts(this.#publisher.client, this.#log);
        this.#goOn();
      },
      () => {
        this.history.evidence.doubt();
        resolve();
      },
    );
    this.#subscriber.open(
      () => {
        tapReplies(this.#subscriber.client, this.#received);
        this.#subscriptions.restore();
      },
      () => {
        resolve();
        this.#lost();
      },
    );
    return promise;
  }

  get ready(): boolean {
    return this.#publisher.up && this.#subscriptions.live;
  }

  get waiting(): number {
    return this.#allowance.messages;
  }

  subscribe(channel: string): Promise<void> | undefined {
    return this.#subscriptions.subscribe(channel);
  }

  unsubscribe(channel: string): void {
    this.#subscriptions.unsubscribe(channel);
  }

  publish(channel: string, message: Message, sender: Sender): void {
    if (this.#closed) {
      sender.refused(new Problem("bus-away", "The server is shutting down."));
      return;
    }
    this.#queue.add(this.#publishHead(channel), encodeFrame(message), sender, !this.ready);
    // A burst in one turn must not pile up: while Redis answers, nothing has to wait.
    if (this.#queue.full) this.#flush();
    else this.#flushSoon();
  }

  /** A PUBLISH up to the length of its payload. */
  #publishHead(channel: string): Buffer {
    const subscription = this.#subscriptions.get(channel);
    if (subscription?.head !== undefined) return subscription.head;
    const head = Buffer.concat([PUBLISH, argumentsOf(this.#prefix + channel), Buffer.from("$")]);
    if (subscription !== undefined) subscription.head = head;
    return head;
  }

  async publishTick(tick: Tick): Promise<boolean> {
    if (!this.ready) throw new Problem("bus-away", "The bus is away.");
    const { channel, retention, dueMs, periodMs, text } = tick;
    const keys = new ChannelKeys(this.#prefix, channel);
    const check = this.history.evidence.brief(channel);
    const claim = [dueMs, periodMs, TICK_TTL_MS, this.#prefix + channel, this.history.freshEpoch(), ...check];
    try {
      const answer =
        retention === undefined
          ? await tickScript.run(this.#publisher.client, [keys.tick(tick.schedule)], [...claim, 0, 0, text])
          : await tickScript.run(
              this.#publisher.client,
              [keys.tick(tick.schedule), keys.head, keys.log],
              [...claim, retention.size, keptMs(retention), encodeEntry(text)],
            );
      return answer === 1;
    } catch (error) {
      throw new Problem("not-confirmed", `The bus did not confirm the tick: ${describeError(error)}`);
    }
  }

  async settled(): Promise<void> {
    await Promise.all([this.#queue.empty(), this.history.appends.settled()]);
    // The answer comes behind everything that Redis has for this connection.
    if (this.#subscriber.up) await this.#subscriber.client.ping().catch(() => "gone, and with it what it had");
  }

  close(): void {
    this.#closed = true;
    this.#subscriptions.close();
    this.#queue.close(new Problem("not-confirmed", "The server shut down before the bus confirmed the message."));
    this.history.appends.close();
    this.presence.close();
    this.#publisher.close();
    this.#subscriber.close();
  }

  /** Everything that arrives in one turn of the event loop goes out in one write. */
  #flushSoon(): void {
    if (this.#flushing) return;
    this.#flushing = true;
    setImmediate(() => {
      this.#flushing = false;
      this.#flush();
    });
  }

  #flush(): void {
    while (this.ready) {
      const batch = this.#queue.take();
      if (batch === undefined) return;
      this.#write(batch);
    }
  }

  #write(batch: Batch): void {
    const { items, bytes } = batch;
    const writer = new Writer(items.reduce((sum, { head }) => sum + head.length + COMMAND_BYTES, bytes));
    for (const { head, payload, bytes: length } of items) {
      writer.bytes(head);
      writer.decimal(length);
      writer.lineEnd();
      writer.message(payload);
      writer.lineEnd();
    }
    const publishes = new WrittenPublishes(items.length, writer.written);
    this.#publisher.send(publishes).then(
      () => this.#answered(batch, publishes, undefined),
      (error: unknown) => this.#answered(batch, publishes, error),
    );
  }

  #answered(batch: Batch, publishes: WrittenPublishes, unanswered: unknown): void {
    if (this.#closed) return;
    this.#counts.onPublished((Date.now() - (batch.items[0]?.acceptedMs ?? Date.now())) / 1000);
    this.#queue.settle(batch, (index) => {
      const error = publishes.errorOf(index, unanswered);
      if (error === undefined) return undefined;
      this.#log.debug("redis did not confirm", { error: describeError(error) });
      const why = error === unanswered ? "The bus did not confirm the message; it may still arrive." : "The bus refused the message.";
      return new Problem("not-confirmed", why);
    });
    if (this.#queue.waiting > 0) this.#flush();
  }

  #restored(again: boolean): void {
    if (again) this.#counts.reconnections += 1;
    this.#listener.restored();
    this.#goOn();
  }

  /** One of the connections is there: once both are, so is the bus. */
  #goOn(): void {
    if (!this.ready) return;
    this.#opened.resolve();
    this.#flush();
    void this.history.verify();
    this.history.appends.resume();
    this.presence.renew();
  }

  #lost(): void {
    this.history.evidence.doubt();
    if (this.#subscriptions.lost() && !this.#closed) this.#listener.lost();
  }

  readonly #received: Received = (bytes, channelStart, channelEnd, start, end) => {
    const subscription = this.#subscriptions.named(bytes.toString("latin1", channelStart, channelEnd));
    if (this.#closed || subscription === undefined) return;
    const { channel } = subscription;
    const received = decodeFrame(bytes, start, end);
    if (typeof received === "string" || received instanceof Uint8Array) this.#listener.deliver(channel, received);
    else if (Array.isArray(received)) for (const message of received) this.#listener.deliver(channel, message);
    else {
      const { evidence } = this.history;
      if (subscription.seen?.isForgotten !== false) subscription.seen = evidence.about(channel);
      evidence.heard(subscription.seen, received.epoch, received.first + received.messages.length - 1, received.stamp);
      this.#listener.deliverEntries(channel, received);
    }
  };
}

/** 8 letters and digits that no other instance has. */
function instanceName(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(8)), (byte) => (byte % 36).toString(36)).join("");
}
