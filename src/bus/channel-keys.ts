/**
 * The keys of a channel in Redis. All of them are in one slot of a Redis Cluster, whatever the name holds: the channel stands
 * between braces, and braces in it are escaped (https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#hash-tags).
 */
export class ChannelKeys {
  readonly #base: string;

  constructor(prefix: string, channel: string) {
    this.#base = `${prefix}lockstep:{${channel.replace(/[%{}]/g, encodeURIComponent)}}`;
  }

  get head(): string {
    return `${this.#base}:head`;
  }

  get log(): string {
    return `${this.#base}:log`;
  }

  /** What was published under an idempotency key. */
  once(key: string): string {
    return `${this.#base}:once:${key}`;
  }

  /** The last tick of a schedule. */
  tick(schedule: string): string {
    return `${this.#base}:tick:${schedule}`;
  }

  /** Which instances have somebody on the channel, and until when they may be believed. */
  get instances(): string {
    return `${this.#base}:instances`;
  }

  /** Who is on the channel by an instance. */
  present(instance: string): string {
    return `${this.#base}:present:${instance}`;
  }
}
