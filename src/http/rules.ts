import { Policy } from "../access/policy.ts";
import { Tokens } from "../access/tokens.ts";
import { Resolver } from "../channels/resolver.ts";
import { takesSameTokens, type Config } from "../config/config.ts";
import { Networks } from "../config/networks.ts";
import type { Log } from "../log.ts";
import { Origins } from "./origins.ts";

/** What a reload replaces, all of it at once. */
export interface Rules {
  readonly config: Config;
  readonly resolver: Resolver;
  readonly policy: Policy;
  readonly origins: Origins;
  /** Those whose word on addresses counts. */
  readonly proxies: Networks;
}

/** @param before whose tokens go on being good where their keys are the same: those behind a url were fetched */
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

/** The settings that a running server cannot change, and their keys. */
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

/** Those of them that differ, by key. */
export function fixedDifferences(running: Config, next: Config): string[] {
  return fixed.filter(([key]) => running[key] !== next[key]).map(([, name]) => name);
}

/** The next configuration, as one takes it who serves beside a running server and has to be like it. */
export function keepFixed(running: Config, next: Config): Config {
  return { ...next, ...Object.fromEntries(fixed.map(([key]) => [key, running[key]])) };
}
