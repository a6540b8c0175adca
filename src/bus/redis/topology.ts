/*
 * A topology says which shards there are, and which of them serves a channel. To add one, write a function here that makes it, and a line
 * in `topologies` for the scheme of its url; `config/formats.ts` says which urls are allowed. Everything behind it is a `RedisShard` each:
 * its connections, subscriptions, outboxes and logs are lost and restored alone.
 *
 * - Sentinel will be one shard whose address is asked of the sentinels before each attempt to connect: `ShardAddress` then becomes what
 *   `connection.ts` asks for, instead of a url.
 * - A Cluster will be a shard for each master, by the slots of `clusterChannel` (keys.ts). `PUBLISH` in publisher.ts and `SUBSCRIBE` in
 *   subscriptions.ts then become SPUBLISH and SSUBSCRIBE of that name, and a slot that moves is lost by one shard and restored by another.
 */
export interface Topology {
  /** One address for each shard; they do not change. */
  readonly shards: readonly ShardAddress[];
  /** Index into `shards` of the one that serves a channel. */
  indexOf(channel: string): number;
}

export interface ShardAddress {
  /** For the log, and for the shard's listeners. */
  readonly name: string;
  readonly url: string;
}

const topologies: Readonly<Record<string, (url: string) => Topology>> = { "redis:": standalone, "rediss:": standalone };

/** Chooses a topology by the scheme of a url. @throws Error for a scheme that the configuration should have refused */
export function topologyOf(url: string): Topology {
  const make = topologies[url.split("//")[0] ?? ""];
  if (make === undefined) throw new Error(`no topology for ${url.split("//")[0]}`);
  return make(url);
}

/** One Redis for everything. */
function standalone(url: string): Topology {
  return { shards: [{ name: "redis", url }], indexOf: () => 0 };
}
