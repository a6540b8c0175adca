import type { PresenceChange } from "../bus/presence.ts";
import { IndexedBag } from "../lib/indexed-bag.ts";
import type { Message } from "../message.ts";
import type { FanOut, Subscriber, Subscription } from "./subscription.ts";

/** The active subscriptions of one protocol. All of them listen to one topic of the server. */
interface Topic {
  readonly name: string;
  readonly fanOut: FanOut;
  readonly subscriptions: IndexedBag<Subscription>;
}

/** The active subscriptions of a channel. A protocol without subscriptions costs nothing: nothing is encoded for it. */
export class Audience {
  readonly #channel: string;
  #topics: readonly Topic[] = [];

  constructor(channel: string) {
    this.#channel = channel;
  }

  get empty(): boolean {
    return this.#topics.length === 0;
  }

  /** A copy. */
  get all(): Subscription[] {
    return this.#topics.flatMap(({ subscriptions }) => subscriptions.all);
  }

  add(subscription: Subscription, subscriber: Subscriber): void {
    const { fanOut } = subscriber;
    let topic = this.#topicOf(fanOut);
    if (topic === undefined) {
      topic = { name: `${fanOut.name} ${this.#channel}`, fanOut, subscriptions: new IndexedBag() };
      this.#topics = [...this.#topics, topic];
    }
    topic.subscriptions.add(subscription);
    subscriber.listen(topic.name);
  }

  /** Nothing is sent to it from here on. A second time does nothing. */
  delete(subscription: Subscription): void {
    const { subscriber } = subscription;
    const topic = subscriber && this.#topicOf(subscriber.fanOut);
    if (topic === undefined || !topic.subscriptions.delete(subscription)) return;
    subscriber?.unlisten(topic.name);
    if (topic.subscriptions.size === 0) this.#topics = this.#topics.filter((one) => one !== topic);
  }

  /** Returns the number of subscriptions. @param epoch empty on a channel without history */
  broadcast(message: Message, epoch: string, offset: number): number {
    let count = 0;
    for (const { name, fanOut, subscriptions } of this.#topics) {
      count += subscriptions.size;
      fanOut.broadcast(name, this.#channel, message, epoch, offset);
    }
    return count;
  }

  broadcastPresence(change: PresenceChange): void {
    for (const { name, fanOut } of this.#topics) fanOut.broadcastPresence(name, this.#channel, change);
  }

  /** Closes clients for which too much waits. */
  checkBacklogs(): void {
    for (const { subscriptions } of this.#topics) subscriptions.each(({ subscriber }) => subscriber?.checkBacklog());
  }

  #topicOf(fanOut: FanOut): Topic | undefined {
    return this.#topics.find((topic) => topic.fanOut === fanOut);
  }
}
