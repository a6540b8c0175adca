import { Value, ValueErrorType, type ValueError } from "@sinclair/typebox/value";
import { Cron } from "croner";
import { builtinKinds } from "../channels/builtin.ts";
import { ChannelName } from "../channels/channel-name.ts";
import { kindFaults } from "../channels/kind-faults.ts";
import { Kind, type KindSettings, type Target } from "../channels/kind.ts";
import { resolveTarget } from "../channels/resolver.ts";
import { parsePath } from "../channels/path.ts";
import { durationMs, parseDuration } from "../lib/duration.ts";
import { apiKeyFault, hostFault, jwksUrlFault, originFault, publicKeyFault } from "./access-checks.ts";
import { networkFault } from "./networks.ts";
import { settingsSchema, type Settings } from "./schema.ts";

/** Where a setting came from, for people: a variable, or the key path in the file. */
export type Place = (keys: readonly (string | number)[]) => string;

const MAX_SHOWN = 80;
const SECRET = "a value that may be secret";
/** The keys of a kind that its meaning is checked by. */
const KIND_KEYS = ["path", "name", "params", "envelope", "owner"];

/** What is of the wrong type, by JSON pointer (RFC 6901). */
export function schemaFaults(settings: unknown, place: Place): Map<string, string> {
  const faults = new Map<string, string>();
  for (const error of Value.Errors(settingsSchema, settings)) {
    // The first fault of a place is the one to mend; the others follow from it.
    if (!faults.has(error.path)) faults.set(error.path, describeFault(error, place));
  }
  return faults;
}

/** Whether one of two JSON pointers leads to a part of the other. */
export function overlaps(a: string, b: string): boolean {
  return `${a}/`.startsWith(`${b}/`) || `${b}/`.startsWith(`${a}/`);
}

function describeFault(error: ValueError, place: Place): string {
  const keys = error.path.slice(1).split("/").map(unescapePointer);
  const where = place(keys.map((key) => (/^[0-9]+$/.test(key) ? Number(key) : key)));
  const allowed =
    error.type === ValueErrorType.ObjectAdditionalProperties
      ? `one of ${Object.keys({ ...error.schema["properties"] }).join(", ")}`
      : String(error.schema["allowed"]);
  return fault(where, mayBeSecret(keys) ? SECRET : show(error.value), allowed);
}

/** Also what is misspelt, or of the wrong type, in a place where people put secrets. */
function mayBeSecret([table, key]: readonly string[]): boolean {
  return table === "auth" || (table === "redis" && key !== "prefix");
}

/** JSON pointer, RFC 6901 §4. */
function unescapePointer(token: string): string {
  return token.replaceAll("~1", "/").replaceAll("~0", "~");
}

/** What the types cannot say, of all that is `sound`: of the right type, by JSON pointer. */
export function meaningFaults(settings: Settings, place: Place, sound: (pointer: string) => boolean): string[] {
  const faults: string[] = [];
  if (sound("/server/timezone") && settings.server.timezone !== "" && !isTimezone(settings.server.timezone)) {
    faults.push(fault(place(["server", "timezone"]), show(settings.server.timezone), 'an IANA time zone, as in "Asia/Shanghai"'));
  }
  const host = sound("/server/host") ? hostFault(settings.server.host) : undefined;
  if (host !== undefined) faults.push(fault(place(["server", "host"]), show(settings.server.host), host));
  if (sound("/server/ping_interval") && parseDuration(settings.server.ping_interval) === 0) {
    faults.push(fault(place(["server", "ping_interval"]), show(settings.server.ping_interval), "more than nothing"));
  }
  if (sound("/limits/publish_timeout") && parseDuration(settings.limits.publish_timeout) === 0) {
    faults.push(fault(place(["limits", "publish_timeout"]), show(settings.limits.publish_timeout), "more than nothing"));
  }
  // An empty pair would be taken for a channel's hash tag, and its keys would be in different slots of a cluster.
  if (sound("/redis/prefix") && /^[^{]*\{\}/.test(settings.redis.prefix)) {
    faults.push(fault(place(["redis", "prefix"]), show(settings.redis.prefix), "a text without {}"));
  }
  faults.push(...accessFaults(settings, place, sound));
  const url = sound("/redis/url") ? redisUrlFault(settings.redis.url) : undefined;
  if (url !== undefined) faults.push(fault(place(["redis", "url"]), showUrl(settings.redis.url), url));
  if (sound("/server/workers") && sound("/redis/url") && settings.server.workers > 1 && settings.redis.url === "") {
    const allowed = "1 without a Redis; more take a url in redis.url or REDIS_URL, by which they are one system";
    faults.push(fault(place(["server", "workers"]), show(settings.server.workers), allowed));
  }
  /** Whether it can be said which paths are of a kind. */
  let pathsAreSound = true;
  let kindsAreSound = sound("/channels") || Array.isArray(settings.channels);
  for (const [index, kind] of (kindsAreSound ? (settings.channels ?? []) : []).entries()) {
    const typed = KIND_KEYS.every((key) => sound(`/channels/${index}/${key}`));
    const found = typed ? kindFaults(kind) : [];
    for (const { key, found: value, allowed } of found) faults.push(fault(`channels[${index}].${key}`, show(value), allowed));
    if (sound(`/channels/${index}/history`) && kind.history !== undefined && parseDuration(kind.history.ttl) === 0) {
      faults.push(fault(`channels[${index}].history.ttl`, show(kind.history.ttl), "more than nothing"));
    }
    if (!typed || found.length > 0) kindsAreSound = false;
    if (!typed || found.some(({ key }) => key !== "owner" && key !== "envelope")) pathsAreSound = false;
  }
  if (settings.channels !== undefined && !Array.isArray(settings.channels)) pathsAreSound = false;
  if (kindsAreSound && sound("/channels")) faults.push(...sharingFaults(settings.channels ?? []));
  const broadcasts = sound("/broadcasts") || Array.isArray(settings.broadcasts) ? (settings.broadcasts ?? []) : [];
  for (const [index, broadcast] of broadcasts.entries()) {
    const known = !pathsAreSound || !sound(`/broadcasts/${index}/path`) || targetOf(pathKindsOf(settings), broadcast.path) !== undefined;
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

/** What is wrong with origins, proxies and keys. */
function accessFaults({ server, auth }: Settings, place: Place, sound: (pointer: string) => boolean): string[] {
  const lists = [
    ["origins", originFault],
    ["trusted_proxies", networkFault],
  ] as const;
  const found = lists.flatMap(([key, faultOf]) =>
    (sound(`/server/${key}`) ? (server[key] ?? []) : []).flatMap((text, index) => {
      const allowed = faultOf(text);
      return allowed === undefined ? [] : [fault(place(["server", key, index]), show(text), allowed)];
    }),
  );
  const keys = [
    ["public_key", publicKeyFault],
    ["jwks_url", jwksUrlFault],
    ["api_key", apiKeyFault],
  ] as const;
  const wrong = keys.flatMap(([key, faultOf]) => {
    const allowed = sound(`/auth/${key}`) ? faultOf(auth[key]) : undefined;
    return allowed === undefined ? [] : [fault(place(["auth", key]), SECRET, allowed)];
  });
  return [...found, ...wrong];
}

function fault(where: string, found: string, allowed: string): string {
  return `${where}: found ${found}, allowed: ${allowed}`;
}

/** A value on one line, shortened. */
function show(value: unknown): string {
  const json = value === undefined ? "nothing" : JSON.stringify(value);
  return json.length > MAX_SHOWN ? `${json.slice(0, MAX_SHOWN)}…` : json;
}

/** A url without its credentials; not at all where it is not clear which part they are. */
function showUrl(url: string): string {
  const { protocol = "", host = "", pathname = "" } = URL.canParse(url) ? new URL(url) : {};
  return host === "" ? SECRET : show(`${protocol}//${host}${pathname === "/" ? "" : pathname}`);
}

/** Kinds that call their channels alike have to keep them alike. */
function sharingFaults(kinds: readonly KindSettings[]): string[] {
  const first = new Map<string, number>();
  return kinds.flatMap((kind, index) => {
    const shape = ChannelName.of(kind).shape;
    const other = kinds[first.get(shape) ?? index] ?? kind;
    if (!first.has(shape)) first.set(shape, index);
    return (["history", "presence"] as const).flatMap((key) =>
      JSON.stringify(meant(kind)[key]) === JSON.stringify(meant(other)[key])
        ? []
        : [fault(`channels[${index}].${key}`, show(kind[key]), `the same as in channels[${first.get(shape)}], which has the same name`)],
    );
  });
}

/** What decides whether channels are kept alike, however it is written. */
function meant({ history, presence = false }: KindSettings) {
  return { history: history === undefined ? undefined : [history.size, durationMs(history.ttl)], presence };
}

function isEscaped(text: string): boolean {
  try {
    return decodeURIComponent(text).length >= 0;
  } catch {
    return false;
  }
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
    return "redis://host:port or rediss://host:port, with credentials before an @, and no ? or # behind it";
  }
  if (!isEscaped(parsed.username) || !isEscaped(parsed.password)) return "credentials with every % escaped as %25";
  return /^\/?0?$/.test(parsed.pathname) ? undefined : "no database other than 0: pub/sub does not know databases";
}

/** Takes every key `__proto__` away and names it: copied on, it would become settings that no check sees. */
export function takePrototypes(value: unknown, path: string): string[] {
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) => {
    const here = Array.isArray(value) ? `${path}[${key}]` : `${path}${path === "" ? "" : "."}${key}`;
    if (key !== "__proto__") return takePrototypes(inner, here);
    Reflect.deleteProperty(value, key);
    return [fault(here, show(inner), "any other key")];
  });
}

/** With what is left out: once any key is set, it takes a token to join or publish. */
export function kindsOf({ auth, channels }: Pick<Settings, "auth" | "channels">): Kind[] {
  const rule = Object.values(auth).some((key) => key !== "") ? "token" : "open";
  return (channels ?? builtinKinds).map((kind) => new Kind({ access: rule, publish: rule, ...kind }));
}

/** The same as far as their paths go; what else they say may be wrong. */
function pathKindsOf({ auth, channels }: Settings): Kind[] {
  const paths = channels?.map(({ path, params, name }) => ({
    path,
    ...(params === undefined ? {} : { params }),
    ...(name === undefined ? {} : { name }),
  }));
  return kindsOf(paths === undefined ? { auth } : { auth, channels: paths });
}

/** The channel of a path, or undefined where there is none. */
export function targetOf(kinds: readonly Kind[], path: string): Target | undefined {
  try {
    return resolveTarget(kinds, parsePath(path));
  } catch {
    return undefined;
  }
}
