import type { Kind } from "../channels/kind.ts";
import type { Target } from "../channels/kind.ts";
import { Channel, type ChannelHost } from "./channel.ts";

/** A channel without subscribers is kept this long: most who leave are reconnecting. */
const RELEASE_AFTER_MS = 3000;
const RELEASE_CHECK_MS = 1000;

/** The channels that have subscribers on this instance, or had some a moment ago, by their names on the bus. */
export class Channels {
  readonly #host: ChannelHost;
  readonly #byName = new Map<string, Channel>();
  /** Channels without subscribers and since when, the oldest first. */
  readonly #idle = new Map<Channel, number>();
  readonly #timer = setInterval(() => this.#releaseIdle(), RELEASE_CHECK_MS);

  constructor(host: ChannelHost) {
    this.#host = host;
  }

  /** Channels with subscribers. */
  get count(): number {
    return this.#byName.size - this.#idle.size;
  }

  get(name: string): Channel | undefined {
    return this.#byName.get(name);
  }

  /** A copy. */
  get all(): Channel[] {
    return [...this.#byName.values()];
  }

  /** The channel of a target, which somebody is about to join. */
  enter({ kind, channel: name }: Target): Channel {
    const channel = this.#byName.get(name) ?? this.#add(name, kind);
    this.#idle.delete(channel);
    return channel;
  }

  /** The channel is empty now. */
  vacated(channel: Channel): void {
    if (channel.closed) return;
    // Deleted first: a key that is set again would keep its old place.
    this.#idle.delete(channel);
    this.#idle.set(channel, Date.now());
  }

  /** Puts an empty channel of another kind in the place of one, which receives nothing more. The bus's subscription stays. */
  replace(channel: Channel, kind: Kind): void {
    this.#idle.delete(channel);
    channel.close();
    this.vacated(this.#add(channel.name, kind));
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #add(name: string, kind: Kind): Channel {
    const channel = new Channel(name, kind, this.#host);
    this.#byName.set(name, channel);
    channel.subscribe();
    return channel;
  }

  #releaseIdle(): void {
    const beforeMs = Date.now() - RELEASE_AFTER_MS;
    for (const [channel, sinceMs] of this.#idle) {
      if (sinceMs > beforeMs) break;
      this.#idle.delete(channel);
      this.#byName.delete(channel.name);
      channel.close();
      this.#host.bus.unsubscribe(channel.name);
    }
  }
}
