import type { OpenBus } from "../../src/bus/bus.ts";
import { openBus } from "../../src/bus/open.ts";
import { openRedisBusOn } from "../../src/bus/redis/bus.ts";
import type { Topology } from "../../src/bus/redis/topology.ts";
import { RedisServer } from "../support/redis.ts";

/** A bus that the shared cases run on. To add one: a line in `buses`. */
export interface BusUnderTest {
  readonly name: string;
  /** Starts what the bus needs; returns its url and how to end it. */
  readonly start: () => Promise<{ url: string; stop(): Promise<void> }>;
}

export const buses: readonly BusUnderTest[] = [
  { name: "memory", start: () => Promise.resolve({ url: "", stop: () => Promise.resolve() }) },
  {
    name: "redis",
    start: async () => {
      const server = await RedisServer.start();
      return { url: server.url, stop: () => server.stop() };
    },
  },
];

/** A topology that the cases of the bus itself run on: those of `buses`, and those that no url names. */
export interface TopologyUnderTest {
  readonly name: string;
  readonly start: () => Promise<{ open: OpenBus; stop(): Promise<void> }>;
}

export const topologies: readonly TopologyUnderTest[] = [
  ...buses.map(({ name, start }) => ({
    name,
    start: async () => {
      const running = await start();
      const open: OpenBus = (options, listener) => openBus({ ...options, url: running.url }, listener);
      return { open, stop: () => running.stop() };
    },
  })),
  {
    name: "two-shard redis",
    start: async () => {
      const servers = await Promise.all([RedisServer.start(), RedisServer.start()]);
      return {
        open: (options, listener) => openRedisBusOn(twoShards(servers), options, listener),
        stop: async () => {
          await Promise.all(servers.map((server) => server.stop()));
        },
      };
    },
  },
];

/** Two Redis servers that share the channels, by a hash of their names. */
export function twoShards(servers: readonly RedisServer[]): Topology {
  return {
    shards: servers.map(({ url }, index) => ({ name: `shard ${index}`, url })),
    indexOf: (channel) => Number(Bun.hash(channel) % 2n),
  };
}
