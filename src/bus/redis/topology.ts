/*
 * A topology says which shards there are, and which of them serves a channel. This is the place for Sentinel and Cluster: each is one more function
 * that makes a topology, chosen by the scheme of the url (open.ts).
 *
 * - Sentinel: one shard, whose address is asked of the sentinels before each attempt to connect.
 * - Cluster: a shard for each master, by the slots of `clusterChannel` (keys.ts); messages go out by SPUBLISH.
 */
export interface Topology {
  /** One address for each shard; they do not change. */
  readonly shards: readonly ShardAddress[];
  /** The place in `shards` of the one that serves a channel. */
  indexOf(channel: string): number;
}

export interface ShardAddress {
  /** For the log, and for the shard's listeners. */
  readonly name: string;
  readonly url: string;
}

/** One Redis for everything. */
export function standalone(url: string): Topology {
  return { shards: [{ name: "redis", url }], indexOf: () => 0 };
}
