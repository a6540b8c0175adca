import { isUtf8 } from "node:buffer";
import { readFileSync } from "node:fs";
import { Value, ValueErrorType, type ValueError } from "@sinclair/typebox/value";
import { Cron } from "croner";
import { parse, TomlError } from "smol-toml";
import { builtinBroadcasts, builtinKinds, type BroadcastSettings } from "../channels/builtin.ts";
import { Kind, kindFaults, resolveKind } from "../channels/kind.ts";
import { parsePath } from "../channels/path.ts";
import type { LogFormat, LogLevel } from "../log.ts";
import { environmentKeys, parseDuration, settingsSchema, type Settings } from "./schema.ts";

/** What the server runs by. Durations are in milliseconds, sizes in bytes; see contract §8 for each. */
export interface Config {
  readonly host: string;
  readonly port: number;
  /** IANA name. */
  readonly timezone: string;
  readonly drainTimeoutMs: number;
  readonly pingIntervalMs: number;
  readonly redisUrl: string;
  readonly redisPrefix: string;
  readonly logLevel: LogLevel;
  readonly logFormat: LogFormat;
  readonly limits: Limits;
  readonly kinds: readonly Kind[];
  readonly broadcasts: readonly Broadcast[];
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

type Environment = Readonly<Record<string, string | undefined>>;
type Raw = Record<string, unknown>;
/** Where a setting came from, for people: a variable, or the key path in the file. */
type Place = (keys: readonly (string | number)[]) => string;

const SECRETS = new Set(["auth.jwt_secret", "auth.api_key"]);
const MAX_SHOWN = 80;
/** The keys of a kind that say which paths are of it, and what is published. */
const KIND_KEYS = ["path", "name", "params", "envelope"];

/**
 * Reads the configuration file, if there is one, and the environment, which wins. An empty variable counts as unset.
 *
 * @param file the path of a TOML file; wins over `LOCKSTEP_CONFIG`
 * @throws ConfigError with every fault
 */
export function loadConfig(environment: Environment, file?: string): Config {
  const { raw, fault: unreadable } = readToml(file, environment["LOCKSTEP_CONFIG"]);
  const poisoned = takePrototypes(raw, "");
  const place = overlay(raw, environment);
  const settings = Value.Default(settingsSchema, raw);
  const faults = schemaFaults(settings, place);
  const sound = (pointer: string): boolean => ![...faults.keys()].some((faulty) => overlaps(faulty, pointer));
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- only what is sound is read of it
  const more = meaningFaults(settings as Settings, place, sound);
  const all = [...unreadable, ...poisoned, ...faults.values(), ...more];
  if (all.length > 0 || !Value.Check(settingsSchema, settings)) throw new ConfigError(all);
  return freeze(settings);
}

/** What the file says, or nothing and the fault where it cannot be read. */
function readToml(given: string | undefined, fromEnvironment = ""): { raw: Raw; fault: string[] } {
  const file = given ?? fromEnvironment;
  if (file === "") return { raw: {}, fault: [] };
  const name = given === undefined ? `LOCKSTEP_CONFIG, ${file}` : file;
  let bytes: Buffer;
  try {
    bytes = readFileSync(file);
  } catch (error) {
    return { raw: {}, fault: [`${name}: cannot be read (${messageOf(error)})`] };
  }
  if (!isUtf8(bytes)) return { raw: {}, fault: [`${name}: not valid TOML (it is not UTF-8)`] };
  try {
    return { raw: parse(bytes.toString("utf8")), fault: [] };
  } catch (error) {
    const where = error instanceof TomlError ? `, line ${error.line}, column ${error.column}` : "";
    return { raw: {}, fault: [`${name}${where}: not valid TOML (${messageOf(error)})`] };
  }
}

/** Takes every key `__proto__` away and names it: copied on, it would become settings that no check sees. */
function takePrototypes(value: unknown, path: string): string[] {
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) => {
    const here = Array.isArray(value) ? `${path}[${key}]` : `${path}${path === "" ? "" : "."}${key}`;
    if (key !== "__proto__") return takePrototypes(inner, here);
    Reflect.deleteProperty(value, key);
    return [fault(here, show(inner), "any other key")];
  });
}

function messageOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split("\n")[0] ?? "";
}

/** Puts the variables over the file's keys, and returns how to call a place. */
function overlay(raw: Raw, environment: Environment): Place {
  const variables = new Map<string, string>();
  for (const [variable, [table, key]] of Object.entries(environmentKeys)) {
    const value = environment[variable];
    if (value === undefined || value === "") continue;
    variables.set(`${table}.${key}`, variable);
    const settings = raw[table] ?? {};
    // What is no table stays: the schema names it.
    if (typeof settings === "object") raw[table] = { ...settings, [key]: /^[0-9]{1,15}$/.test(value) ? Number(value) : value };
  }
  return (keys) => {
    const path = keys.map((key) => (typeof key === "number" ? `[${key}]` : `.${key}`)).join("");
    return variables.get(path.slice(1)) ?? path.slice(1);
  };
}

/** What is of the wrong type, by JSON pointer (RFC 6901). */
function schemaFaults(settings: unknown, place: Place): Map<string, string> {
  const faults = new Map<string, string>();
  for (const error of Value.Errors(settingsSchema, settings)) {
    // The first fault of a place is the one to mend; the others follow from it.
    if (!faults.has(error.path)) faults.set(error.path, describeFault(error, place));
  }
  return faults;
}

/** Whether one of two JSON pointers leads to a part of the other. */
function overlaps(a: string, b: string): boolean {
  return `${a}/`.startsWith(`${b}/`) || `${b}/`.startsWith(`${a}/`);
}

function describeFault(error: ValueError, place: Place): string {
  const keys = error.path.slice(1).split("/").map(unescapePointer);
  const where = place(keys.map((key) => (/^[0-9]+$/.test(key) ? Number(key) : key)));
  const allowed =
    error.type === ValueErrorType.ObjectAdditionalProperties
      ? `one of ${Object.keys({ ...error.schema["properties"] }).join(", ")}`
      : String(error.schema["allowed"]);
  return fault(where, SECRETS.has(keys.join(".")) ? "a secret" : show(error.value), allowed);
}

/** JSON pointer, RFC 6901 §4. */
function unescapePointer(token: string): string {
  return token.replaceAll("~1", "/").replaceAll("~0", "~");
}

/** What the types cannot say, of all that is `sound`: of the right type, by JSON pointer. */
function meaningFaults(settings: Settings, place: Place, sound: (pointer: string) => boolean): string[] {
  const faults: string[] = [];
  if (sound("/server/timezone") && settings.server.timezone !== "" && !isTimezone(settings.server.timezone)) {
    faults.push(fault(place(["server", "timezone"]), show(settings.server.timezone), 'an IANA time zone, as in "Asia/Shanghai"'));
  }
  if (sound("/server/ping_interval") && parseDuration(settings.server.ping_interval) === 0) {
    faults.push(fault(place(["server", "ping_interval"]), show(settings.server.ping_interval), "more than nothing"));
  }
  const url = sound("/redis/url") ? redisUrlFault(settings.redis.url) : undefined;
  if (url !== undefined) faults.push(fault(place(["redis", "url"]), show(settings.redis.url.replace(/\/\/.*@/, "//***@")), url));
  let kindsAreSound = sound("/channels") || Array.isArray(settings.channels);
  for (const [index, kind] of (kindsAreSound ? (settings.channels ?? []) : []).entries()) {
    const typed = KIND_KEYS.every((key) => sound(`/channels/${index}/${key}`));
    const found = typed ? kindFaults(kind) : [];
    for (const { key, found: value, allowed } of found) faults.push(fault(`channels[${index}].${key}`, show(value), allowed));
    if (!typed || found.length > 0) kindsAreSound = false;
  }
  const broadcasts = sound("/broadcasts") || Array.isArray(settings.broadcasts) ? (settings.broadcasts ?? []) : [];
  for (const [index, broadcast] of broadcasts.entries()) {
    // Which paths are of a kind can be said only of kinds that are sound.
    const known = !kindsAreSound || !sound(`/broadcasts/${index}/path`) || channelOf(kindsOf(settings), broadcast.path) !== undefined;
    if (!known || (sound(`/broadcasts/${index}/path`) && /[{}]/.test(broadcast.path))) {
      faults.push(fault(`broadcasts[${index}].path`, show(broadcast.path), "the path of one channel of some kind, without {values}"));
    }
    if (sound(`/broadcasts/${index}/pattern`) && !isPattern(broadcast.pattern)) {
      const allowed = 'cron with seconds, six fields as in "*/5 * * * * *", that comes to pass';
      faults.push(fault(`broadcasts[${index}].pattern`, show(broadcast.pattern), allowed));
    }
  }
  return faults;
}

function fault(where: string, found: string, allowed: string): string {
  return `${where}: found ${found}, allowed: ${allowed}`;
}

/** A value on one line, shortened. */
function show(value: unknown): string {
  const json = value === undefined ? "nothing" : JSON.stringify(value);
  return json.length > MAX_SHOWN ? `${json.slice(0, MAX_SHOWN)}…` : json;
}

function isTimezone(name: string): boolean {
  try {
    return new Intl.DateTimeFormat("en", { timeZone: name }).resolvedOptions().timeZone !== "";
  } catch {
    return false;
  }
}

function isPattern(pattern: string): boolean {
  try {
    return pattern.trim().split(/\s+/).length === 6 && new Cron(pattern, { paused: true }).nextRun() !== null;
  } catch {
    return false;
  }
}

/** What is wrong with the url of a Redis, if anything. ioredis takes options in the query, so none may stand there. */
function redisUrlFault(url: string): string | undefined {
  if (url === "") return undefined;
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (parsed === undefined || !/^rediss?:$/.test(parsed.protocol) || parsed.hostname === "" || parsed.search !== "" || parsed.hash !== "") {
    return "redis://host:port or rediss://host:port, with credentials before an @";
  }
  return /^\/?0?$/.test(parsed.pathname) ? undefined : "no database other than 0: pub/sub does not know databases";
}

function kindsOf(settings: Settings): Kind[] {
  return (settings.channels ?? builtinKinds).map((kind) => new Kind(kind));
}

function channelOf(kinds: readonly Kind[], path: string): string | undefined {
  try {
    return resolveKind(kinds, parsePath(path))?.channel;
  } catch {
    return undefined;
  }
}

function freeze(settings: Settings): Config {
  const { server, redis, log, limits } = settings;
  const kinds = kindsOf(settings);
  const listed: readonly BroadcastSettings[] = settings.broadcasts ?? (settings.channels === undefined ? builtinBroadcasts : []);
  return Object.freeze({
    host: server.host,
    port: server.port,
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
    kinds,
    broadcasts: listed.map(({ path, pattern, message }) => ({ channel: channelOf(kinds, path) ?? "", pattern, message })),
  });
}
