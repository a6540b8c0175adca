import { RedisServer } from "./support/redis.ts";

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
