import { Problem } from "../../errors.ts";
import type { Message } from "../../message.ts";
import type { Retention } from "../../position.ts";
import type { BusListener, Shard } from "../bus.ts";
import type { Sender } from "../publisher.ts";
import type { Member } from "../presence.ts";
import { Appender } from "./appender.ts";
import { ShardContext, type BusContext } from "./context.ts";
import { decodeFrame, fromCheckpoint } from "./frame.ts";
import { LogReader } from "./log-reader.ts";
import { RedisPresence } from "./presence.ts";
import { PlainPublisher, publishHead } from "./publisher.ts";
import type { Received } from "./reply-tap.ts";
import { scripts } from "./scripts.ts";
import type { ShardAddress } from "./topology.ts";

const SHUT_DOWN = "The server shut down before the bus confirmed the message.";

/**
 * One Redis: its connections, the subscriptions on it, and everything on its way to it. It is lost and restored alone.
 *
 * A message goes out so: accepted by an outbox (publisher.ts, appender.ts), written at the end of the turn, delivered to every
 * subscribed instance, this one included, and confirmed by the reply.
 */
export class RedisShard implements Shard {
  readonly name: string;
  readonly context: ShardContext;
  readonly logs: LogReader;
  readonly presence: RedisPresence;
  readonly #holds: (channel: string) => boolean;
  readonly #listener: BusListener;
  readonly #publisher: PlainPublisher;
  readonly #appender: Appender;
  readonly #opened = Promise.withResolvers<void>();
  #flushing = false;
  #closed = false;

  /** @param holds whether the topology gives this shard a channel */
  constructor({ name, url }: ShardAddress, bus: BusContext, holds: (channel: string) => boolean, listener: BusListener) {
    this.name = name;
    this.#holds = holds;
    this.#listener = listener;
    this.context = new ShardContext(bus, url);
    this.logs = new LogReader(this.context);
    this.presence = new RedisPresence(this.context);
    this.#publisher = new PlainPublisher(this.context, this.presence);
    this.#appender = new Appender(this.context, this.presence);
  }

  /** Resolves once the shard is live, or at the first sign that it is away. */
  open(): Promise<void> {
    const { publisher, subscriber, subscriptions, losses } = this.context;
    publisher.open(
      () => {
        publisher.load(scripts);
        this.#continue();
      },
      () => {
        losses.connectionLost();
        this.#opened.resolve();
      },
    );
    subscriber.open(
      () => subscriptions.restore((again) => this.#restored(again)),
      () => {
        this.#opened.resolve();
        losses.connectionLost();
        if (subscriptions.lost() && !this.#closed) this.#listener.lost(this);
      },
      this.#received,
    );
    return this.#opened.promise;
  }

  has(channel: string): boolean {
    return this.#holds(channel);
  }

  /** See `Bus.ready`. */
  ready(channel?: string): boolean {
    const { ready, subscriptions } = this.context;
    return ready && (channel === undefined || subscriptions.get(channel)?.pending === undefined);
  }

  publish(channel: string, message: Message, sender: Sender): void {
    if (this.#refusesAfterClose(sender)) return;
    this.#publisher.add(this.#headOf(channel), message, sender);
    // A burst in one turn must not pile up: while Redis answers, nothing has to wait.
    if (this.#publisher.isFull) this.#flush();
    else this.#flushSoon();
  }

  append(channel: string, message: Message, retention: Retention, sender: Sender, key?: string): void {
    if (this.#refusesAfterClose(sender)) return;
    this.#appender.add(channel, message, retention, sender, key);
    this.#flushSoon();
  }

  join(channel: string, member: Member | null, announce: boolean): void {
    this.presence.join(channel, member, announce);
    this.#flushSoon();
  }

  leave(channel: string, member: Member | null, announce: boolean): void {
    this.presence.leave(channel, member, announce);
    this.#flushSoon();
  }

  /** See `Publisher.settled`. */
  async settled(): Promise<void> {
    await Promise.all([this.#publisher.empty(), this.#appender.empty()]);
    // The answer comes behind everything that Redis has for this connection.
    if (this.context.subscriber.up) await this.context.subscriber.ping();
  }

  close(): void {
    this.#closed = true;
    const { publisher, subscriber, subscriptions } = this.context;
    subscriptions.close();
    this.#publisher.close(new Problem("not-confirmed", SHUT_DOWN));
    this.#appender.close(new Problem("not-confirmed", SHUT_DOWN));
    this.presence.close();
    publisher.close();
    subscriber.close();
  }

  #refusesAfterClose(sender: Sender): boolean {
    if (this.#closed) sender.refused(new Problem("bus-away", "The server is shutting down."));
    return this.#closed;
  }

  /** The beginning of the channel's PUBLISH, kept with its subscription. */
  #headOf(channel: string): Buffer {
    const subscription = this.context.subscriptions.get(channel);
    const head = subscription?.head ?? publishHead(this.context.nameOf(channel));
    if (subscription !== undefined) subscription.head = head;
    return head;
  }

  /** Everything of one turn of the event loop goes out in one write. */
  #flushSoon(): void {
    if (this.#flushing) return;
    this.#flushing = true;
    setImmediate(() => {
      this.#flushing = false;
      if (!this.#closed) this.#flush();
    });
  }

  #flush(): void {
    this.presence.flush();
    this.#publisher.flush();
    this.#appender.flush();
  }

  #restored(again: boolean): void {
    if (again) this.context.bus.counts.reconnections += 1;
    this.#listener.restored(this);
    this.#continue();
  }

  /** One of the connections is there: once both are, so is the shard. */
  #continue(): void {
    if (!this.context.ready) return;
    this.#opened.resolve();
    this.presence.renew();
    this.#publisher.flush();
    void this.logs.verify();
    this.#appender.resume();
  }

  readonly #received: Received = (bytes, channelStart, channelEnd, start, end) => {
    const subscription = this.context.subscriptions.named(bytes.toString("latin1", channelStart, channelEnd));
    if (this.#closed || subscription === undefined) return;
    const { channel } = subscription;
    const received = decodeFrame(bytes, start, end);
    if (typeof received === "string" || received instanceof Uint8Array) this.#listener.deliver(channel, received);
    else if (Array.isArray(received)) for (const message of received) this.#listener.deliver(channel, message);
    else if ("changes" in received) for (const change of received.changes) this.#listener.deliverPresence(channel, change);
    else {
      const { losses } = this.context;
      if (subscription.seen?.isEvicted !== false) subscription.seen = losses.about(channel);
      const last = received.first + received.messages.length - 1;
      losses.heard(subscription.seen, received.epoch, last, fromCheckpoint(received.checkpoint) ?? 0);
      this.#listener.deliverEntries(channel, received);
    }
  };
}
