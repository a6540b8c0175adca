import { Value } from "@sinclair/typebox/value";
import { parse, TomlError } from "smol-toml";
import { builtinBroadcasts, type BroadcastSettings } from "../channels/builtin.ts";
import type { Kind } from "../channels/kind.ts";
import type { LogFormat, LogLevel } from "../log.ts";
import type { Retention } from "../position.ts";
import { kindsOf, meaningFaults, overlaps, schemaFaults, takePrototypes, targetOf, type Place } from "./checks.ts";
import { parseDuration } from "../lib/duration.ts";
import { messageOf, readConfigFile, type ConfigFile, type Environment } from "./file.ts";
import { parsePublicKey, type PublicKey } from "./public-key.ts";
import { environmentKeys, settingsSchema, type Settings } from "./schema.ts";

/** What the server runs by. Durations are in milliseconds, sizes in bytes; see contract §8 for each. */
export interface Config {
  readonly host: string;
  readonly port: number;
  /** Processes that share the port. */
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
  /** Those of whose pages browsers may come; empty: any. */
  readonly origins: readonly string[];
  /** Addresses and CIDRs. */
  readonly trustedProxies: readonly string[];
  readonly kinds: readonly Kind[];
  readonly broadcasts: readonly Broadcast[];
}

/** How clients and backends prove who they are; empty or undefined: not by this. */
export interface Auth {
  /** For HS256. */
  readonly jwtSecret: string;
  readonly publicKey: PublicKey | undefined;
  readonly jwksUrl: string;
  readonly apiKey: string;
}

/** Whether the same tokens are good for both. */
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
  /** Of a channel with history. */
  readonly retention: Retention | undefined;
  /** Cron with seconds. */
  readonly pattern: string;
  /** `{time}` stands for the local time. */
  readonly message: string;
}

/** A configuration that cannot be used; nothing starts with it. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
  /** One line for each fault: where, what was found, what is allowed. */
  readonly faults: readonly string[];

  constructor(faults: readonly string[]) {
    super(faults.join("\n"));
    this.faults = faults;
  }
}

type Raw = Record<string, unknown>;

/**
 * Reads the configuration file, if there is one, and the environment, which wins. An empty variable counts as unset.
 *
 * @param file the path of a TOML file, which wins over `LOCKSTEP_CONFIG`, or what was read before
 * @throws ConfigError with every fault
 */
export function loadConfig(environment: Environment, file?: string | ConfigFile): Config {
  const { raw, fault: unreadable } = parseToml(typeof file === "object" ? file : readConfigFile(environment, file));
  const poisoned = takePrototypes(raw, "");
  const { place, isSet } = overlay(raw, environment);
  const settings = Value.Default(settingsSchema, raw);
  const faults = schemaFaults(settings, place);
  // Of a file that says nothing it is not known what it would say.
  const known = (pointer: string): boolean => unreadable.length === 0 || isSet(pointer);
  const sound = (pointer: string): boolean => known(pointer) && ![...faults.keys()].some((faulty) => overlaps(faulty, pointer));
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- only what is sound is read of it
  const more = meaningFaults(settings as Settings, place, sound);
  const all = [...unreadable, ...poisoned, ...faults.values(), ...more];
  if (all.length > 0 || !Value.Check(settingsSchema, settings)) throw new ConfigError(all);
  return freeze(settings);
}

/** What the file says, or nothing and the fault where it says nothing that can be understood. */
function parseToml({ name, text, unreadable }: ConfigFile): { raw: Raw; fault: string[] } {
  if (unreadable !== undefined) return { raw: {}, fault: [unreadable] };
  try {
    return { raw: parse(text), fault: [] };
  } catch (error) {
    const where = error instanceof TomlError ? `, line ${error.line}, column ${error.column}` : "";
    return { raw: {}, fault: [`${name}${where}: not valid TOML (${messageOf(error)})`] };
  }
}

/** Puts the variables over the file's keys, and returns how to call a place, and whether a variable stands at a JSON Pointer. */
function overlay(raw: Raw, environment: Environment): { place: Place; isSet: (pointer: string) => boolean } {
  const variables = new Map<string, string>();
  for (const [variable, [table, key, as]] of Object.entries(environmentKeys)) {
    const value = environment[variable];
    if (value === undefined || value === "") continue;
    variables.set(`${table}.${key}`, variable);
    const settings = raw[table] ?? {};
    // What is no table stays: the schema names it.
    if (typeof settings === "object") raw[table] = { ...settings, [key]: valueOf(value, as) };
  }
  const place: Place = (keys) => {
    const inner = (rest: typeof keys): string => rest.map((key) => (typeof key === "number" ? `[${key}]` : `.${key}`)).join("");
    const variable = variables.get(`${keys[0]}.${keys[1]}`);
    return variable === undefined ? inner(keys).slice(1) : variable + inner(keys.slice(2));
  };
  return { place, isSet: (pointer) => variables.has(pointer.slice(1).replace("/", ".")) };
}

/** A variable's text as the file would say it. What is no integer stays a text, which the schema then names. */
function valueOf(text: string, as: "integer" | "list" | undefined): unknown {
  if (as === "list") return text.split(",").map((part) => part.trim());
  return as === "integer" && /^[0-9]{1,15}$/.test(text) ? Number(text) : text;
}

function freeze(settings: Settings): Config {
  const { server, redis, auth, log, limits } = settings;
  const kinds = kindsOf(settings);
  const listed: readonly BroadcastSettings[] = settings.broadcasts ?? (settings.channels === undefined ? builtinBroadcasts : []);
  return Object.freeze({
    host: server.host,
    port: server.port,
    workers: server.workers,
    timezone: server.timezone === "" ? new Intl.DateTimeFormat().resolvedOptions().timeZone : server.timezone,
    drainTimeoutMs: parseDuration(server.drain_timeout),
    pingIntervalMs: parseDuration(server.ping_interval),
    redisUrl: redis.url,
    redisPrefix: redis.prefix,
    logLevel: log.level,
    logFormat: log.format,
    limits: Object.freeze({
      maxMessageBytes: limits.max_message_bytes,
      messagesPerSecond: limits.messages_per_second,
      maxConnections: limits.max_connections,
      maxConnectionsPerIp: limits.max_connections_per_ip,
      slowConsumerBytes: limits.slow_consumer_bytes,
      publishQueue: limits.publish_queue,
      publishQueueBytes: limits.publish_queue_bytes,
      publishTimeoutMs: parseDuration(limits.publish_timeout),
    }),
    auth: Object.freeze({
      jwtSecret: auth.jwt_secret,
      publicKey: auth.public_key === "" ? undefined : parsePublicKey(auth.public_key),
      jwksUrl: auth.jwks_url,
      apiKey: auth.api_key,
    }),
    origins: server.origins ?? [],
    trustedProxies: server.trusted_proxies ?? [],
    kinds,
    broadcasts: listed.map(({ path, pattern, message }) => {
      const target = targetOf(kinds, path);
      return { channel: target?.channel ?? "", retention: target?.kind.history, pattern, message };
    }),
  });
}
