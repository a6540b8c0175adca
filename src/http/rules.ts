import { Policy } from "../access/policy.ts";
import { Tokens } from "../access/tokens.ts";
import { Resolver } from "../channels/resolver.ts";
import { takesSameTokens, type Config } from "../config/config.ts";
import { Networks } from "../config/networks.ts";
import type { Log } from "../log.ts";
import { Origins } from "./request/origins.ts";

/** Everything that a reload replaces, as one value. A reload never mixes old and new. */
export interface Rules {
  readonly config: Config;
  readonly resolver: Resolver;
  readonly policy: Policy;
  readonly origins: Origins;
  /** The proxies whose `X-Forwarded-For` counts. */
  readonly proxies: Networks;
}

/** @param before the rules so far; their fetched keys stay in use if the new configuration takes the same tokens */
export function rulesOf(config: Config, log: Log, before?: Rules): Rules {
  const { auth } = config;
  const same = before !== undefined && takesSameTokens(before.config.auth, auth) ? before.policy : undefined;
  return {
    config,
    resolver: new Resolver(config.kinds),
    policy: same?.withKey(auth.apiKey) ?? new Policy(new Tokens(auth, log), auth.apiKey),
    origins: new Origins(config.origins),
    proxies: new Networks(config.trustedProxies),
  };
}

/** The settings that need a restart, with their keys in the file. */
const fixed = [
  ["host", "server.host"],
  ["port", "server.port"],
  ["workers", "server.workers"],
  ["pingIntervalMs", "server.ping_interval"],
  ["redisUrl", "redis.url"],
  ["redisPrefix", "redis.prefix"],
  ["logLevel", "log.level"],
  ["logFormat", "log.format"],
] as const;

/** Returns the keys of the settings that differ and need a restart. */
export function fixedDifferences(running: Config, next: Config): string[] {
  return fixed.filter(([key]) => running[key] !== next[key]).map(([, name]) => name);
}

/** Returns the next configuration with the settings that need a restart as they run. A worker that starts later takes it. */
export function keepFixed(running: Config, next: Config): Config {
  return { ...next, ...Object.fromEntries(fixed.map(([key]) => [key, running[key]])) };
}
