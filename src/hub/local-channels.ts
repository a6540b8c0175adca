import type { Kind, Target } from "../channels/kind.ts";
import type { FollowerListener } from "./follower.ts";
import { LocalChannel } from "./local-channel.ts";

/** A channel without local clients is kept this long: most who leave are reconnecting. */
const RELEASE_AFTER_MS = 3000;
const RELEASE_CHECK_MS = 1000;

export interface LocalChannelsOptions {
  /** Hears what the logs of channels with history say. */
  readonly listener: FollowerListener<LocalChannel>;
  /** Nobody has been on a channel for a while: it is not here any more. */
  released(name: string): void;
}

/** The channels that have clients here, or had some a moment ago, by their names on the bus. */
export class LocalChannels {
  readonly #options: LocalChannelsOptions;
  readonly #byName = new Map<string, LocalChannel>();
  /** Channels without clients and since when, the oldest first. */
  readonly #idle = new Map<LocalChannel, number>();
  readonly #timer = setInterval(() => this.#releaseIdle(), RELEASE_CHECK_MS);
  /** Channels that the instance itself follows. */
  #own = 0;
  #topics = 0;

  constructor(options: LocalChannelsOptions) {
    this.#options = options;
  }

  /** Those with clients. */
  get count(): number {
    return this.#byName.size - this.#idle.size - this.#own;
  }

  get(name: string): LocalChannel | undefined {
    return this.#byName.get(name);
  }

  all(): LocalChannel[] {
    return [...this.#byName.values()];
  }

  /** The channel of this name, that somebody is about to enter. */
  enter({ kind, channel }: Target): LocalChannel {
    const local = this.#byName.get(channel) ?? this.#add(channel, kind);
    this.#idle.delete(local);
    return local;
  }

  /** One that the instance itself listens to, as long as it lives. */
  addOwn({ kind, channel }: Target, listener: FollowerListener<LocalChannel>): LocalChannel {
    const local = new LocalChannel(channel, kind, "", listener, true);
    this.#byName.set(channel, local);
    this.#own += 1;
    return local;
  }

  /** Nobody is on it now. A channel that has been replaced is not here any more. */
  vacated(local: LocalChannel): void {
    if (this.#byName.get(local.name) !== local) return;
    // Deleted first: a key that is set again would keep its old place.
    this.#idle.delete(local);
    this.#idle.set(local, Date.now());
  }

  /** Puts an empty channel of another kind in the place of one, which gets nothing more. The subscription stays. */
  replace(local: LocalChannel, kind: Kind): void {
    this.#idle.delete(local);
    this.vacated(this.#add(local.name, kind));
  }

  /** A name for a topic that was never used before. */
  topic(channel: string): string {
    return `${(this.#topics += 1)} ${channel}`;
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #add(name: string, kind: Kind): LocalChannel {
    const local = new LocalChannel(name, kind, this.topic(name), this.#options.listener);
    this.#byName.set(name, local);
    return local;
  }

  #releaseIdle(): void {
    const beforeMs = Date.now() - RELEASE_AFTER_MS;
    for (const [local, sinceMs] of this.#idle) {
      if (sinceMs > beforeMs) break;
      this.#idle.delete(local);
      this.#byName.delete(local.name);
      this.#options.released(local.name);
    }
  }
}
