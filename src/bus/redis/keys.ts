/*
 * All keys of a channel in Redis, where `C` is the channel's name with its prefix:
 *
 *   <prefix>lockstep:{C}:head                hash    the state of its log, see lua/log.lua
 *   <prefix>lockstep:{C}:log                 stream  its messages
 *   <prefix>lockstep:{C}:once:<key>          string  "<epoch> <offset>" of the message published under an idempotency key
 *   <prefix>lockstep:{C}:tick:<schedule>     string  when the last claimed tick of a schedule was due, in ms
 *   <prefix>lockstep:{C}:instances           zset    instances with somebody on it, by when their registration expires, in ms
 *   <prefix>lockstep:{C}:present:<instance>  hash    who is on it through an instance, see lua/presence.lua
 *   <prefix>lockstep:{C}:announced           hash    for each announced member: through how many instances
 *
 * All of them, and the channel itself, are in one slot of a Redis Cluster
 * (https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#hash-tags), so that one script may touch and publish all:
 *
 * - In a Cluster a channel is called `C`, in which `%`, `{` and `}` of the name are percent-encoded. A standalone Redis has no slots:
 *   there it is called by its plain name, as it always was, and only the keys are encoded. So keys are the same in both.
 * - A prefix without braces: `C` has none, so its slot is that of the whole of it, and each key has just that between its braces.
 * - A prefix with a hash tag, as in `{app}:`: the first tag counts, in `C` as in each key. All channels are in the slot of `app`.
 * - A prefix with braces but without a tag (`{}`, `a}b`, `a{b`) would leave channel and keys in different slots: the configuration
 *   refuses it (config/formats.ts).
 */
export class ChannelKeys {
  readonly #base: string;

  constructor(prefix: string, channel: string) {
    this.#base = `${prefix}lockstep:{${clusterChannel(prefix, channel)}}`;
  }

  get head(): string {
    return `${this.#base}:head`;
  }

  get log(): string {
    return `${this.#base}:log`;
  }

  once(key: string): string {
    return `${this.#base}:once:${key}`;
  }

  tick(schedule: string): string {
    return `${this.#base}:tick:${schedule}`;
  }

  get instances(): string {
    return `${this.#base}:instances`;
  }

  present(instance: string): string {
    return `${this.#base}:present:${instance}`;
  }

  get announced(): string {
    return `${this.#base}:announced`;
  }
}

/** The pub/sub name of a channel in a Cluster. */
export function clusterChannel(prefix: string, channel: string): string {
  return prefix + channel.replace(/[%{}]/g, encodeURIComponent);
}
