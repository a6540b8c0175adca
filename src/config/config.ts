import type { Kind } from "../channels/kind.ts";
import type { LogFormat, LogLevel } from "../log.ts";
import type { Retention } from "../position.ts";
import type { PublicKey } from "./formats.ts";

/** The configuration of a server, without faults and frozen. Contract §8 describes each setting. */
export interface Config {
  readonly host: string;
  readonly port: number;
  /** The number of processes that share the port. */
  readonly workers: number;
  /** IANA name. */
  readonly timezone: string;
  readonly drainTimeoutMs: number;
  readonly pingIntervalMs: number;
  readonly redisUrl: string;
  readonly redisPrefix: string;
  readonly logLevel: LogLevel;
  readonly logFormat: LogFormat;
  readonly limits: Limits;
  readonly auth: Auth;
  /** The origins of the pages that may connect; empty: any. */
  readonly origins: readonly string[];
  /** Addresses and CIDRs of proxies whose `X-Forwarded-For` counts. */
  readonly trustedProxies: readonly string[];
  readonly kinds: readonly Kind[];
  readonly broadcasts: readonly Broadcast[];
}

/** The keys that authenticate clients and backends; empty or undefined: not set. */
export interface Auth {
  /** The secret of HS256. */
  readonly jwtSecret: string;
  readonly publicKey: PublicKey | undefined;
  readonly jwksUrl: string;
  readonly apiKey: string;
}

/** The same tokens are valid under both. */
export function takesSameTokens(a: Auth, b: Auth): boolean {
  return a.jwtSecret === b.jwtSecret && a.publicKey?.pem === b.publicKey?.pem && a.jwksUrl === b.jwksUrl;
}

export interface Limits {
  readonly maxMessageBytes: number;
  readonly messagesPerSecond: number;
  readonly maxConnections: number;
  readonly maxConnectionsPerIp: number;
  readonly slowConsumerBytes: number;
  readonly publishQueue: number;
  readonly publishQueueBytes: number;
  readonly publishTimeoutMs: number;
}

/** A scheduled message of the cluster. */
export interface Broadcast {
  readonly channel: string;
  /** Undefined: a channel without history. */
  readonly retention: Retention | undefined;
  /** Cron with seconds. */
  readonly pattern: string;
  /** `{time}` stands for the local time. */
  readonly message: string;
}
