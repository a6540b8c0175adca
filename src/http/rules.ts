import { Access } from "../access/access.ts";
import { isSameAuth, type Config } from "../config/config.ts";
import { Networks } from "../config/networks.ts";
import type { Log } from "../log.ts";
import { Origins } from "./origins.ts";

/** What a reload replaces, all of it at once. */
export interface Rules {
  readonly config: Config;
  readonly access: Access;
  readonly origins: Origins;
  /** Those whose word on addresses counts. */
  readonly proxies: Networks;
}

/** @param before whose keys are kept where they are the same: those behind a url were fetched */
export function rulesOf(config: Config, log: Log, before?: Rules): Rules {
  return {
    config,
    access: before !== undefined && isSameAuth(before.config.auth, config.auth) ? before.access : new Access(config.auth, log),
    origins: new Origins(config.origins),
    proxies: new Networks(config.trustedProxies),
  };
}

/** The settings that a running server cannot change, and that differ. */
export function fixedDifferences(running: Config, next: Config): string[] {
  const fixed = [
    ["host", "server.host"],
    ["port", "server.port"],
    ["pingIntervalMs", "server.ping_interval"],
    ["redisUrl", "redis.url"],
    ["redisPrefix", "redis.prefix"],
    ["logLevel", "log.level"],
    ["logFormat", "log.format"],
  ] as const;
  return fixed.filter(([key]) => running[key] !== next[key]).map(([, name]) => name);
}
