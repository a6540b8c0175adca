import { builtinKinds } from "../channels/builtin.ts";
import { ChannelName } from "../channels/channel-name.ts";
import { kindFaults } from "../channels/kind-faults.ts";
import { Kind, type KindSettings, type Target } from "../channels/kind.ts";
import { parsePath } from "../channels/path.ts";
import { resolveTarget } from "../channels/resolver.ts";
import { durationMs } from "../lib/time.ts";
import { faultLine, show, type NameOf } from "./faults.ts";
import type { Settings } from "./schema.ts";

/** The setting at a JSON Pointer is known and has no fault. */
type IsSound = (pointer: string) => boolean;

/** The keys of a kind that {@link kindFaults} reads. */
const KIND_KEYS = ["path", "name", "params", "envelope", "owner"];
/** The keys whose faults do not matter to a kind's paths. */
const BESIDE_PATHS = new Set(["owner", "envelope"]);

/** The faults that the schema cannot express, among settings that are sound. */
export function crossFaults(settings: Settings, nameOf: NameOf, isSound: IsSound): string[] {
  const { faults, arePathsSound } = checkKinds(settings, isSound);
  return [...workerFaults(settings, nameOf, isSound), ...faults, ...broadcastFaults(settings, arePathsSound, isSound)];
}

function workerFaults({ server, redis }: Settings, nameOf: NameOf, isSound: IsSound): string[] {
  if (!isSound("/server/workers") || !isSound("/redis/url") || server.workers === 1 || redis.url !== "") return [];
  const allowed = "1 without a Redis; more need a url in redis.url or REDIS_URL, which connects them";
  return [faultLine(nameOf(["server", "workers"]), show(server.workers), allowed)];
}

function checkKinds({ channels = [] }: Settings, isSound: IsSound): { faults: string[]; arePathsSound: boolean } {
  if (!Array.isArray(channels)) return { faults: [], arePathsSound: false };
  const faults: string[] = [];
  let areKindsSound = isSound("/channels");
  let arePathsSound = true;
  for (const [index, kind] of channels.entries()) {
    const isTyped = KIND_KEYS.every((key) => isSound(`/channels/${index}/${key}`));
    const found = isTyped ? kindFaults(kind) : [];
    for (const { key, found: value, allowed } of found) faults.push(faultLine(`channels[${index}].${key}`, show(value), allowed));
    if (found.length > 0) areKindsSound = false;
    if (!isTyped || found.some(({ key }) => !BESIDE_PATHS.has(key))) arePathsSound = false;
  }
  if (areKindsSound) faults.push(...sharingFaults(channels));
  return { faults, arePathsSound };
}

/** Kinds whose channels have the same names have to keep them alike. */
function sharingFaults(kinds: readonly KindSettings[]): string[] {
  const first = new Map<string, number>();
  return kinds.flatMap((kind, index) => {
    const { shape } = ChannelName.of(kind);
    const other = kinds[first.get(shape) ?? index] ?? kind;
    if (!first.has(shape)) first.set(shape, index);
    return (["history", "presence"] as const).flatMap((key) =>
      JSON.stringify(keeping(kind)[key]) === JSON.stringify(keeping(other)[key])
        ? []
        : [
            faultLine(
              `channels[${index}].${key}`,
              show(kind[key]),
              `the same as in channels[${first.get(shape)}], which has the same name`,
            ),
          ],
    );
  });
}

/** The values to compare: `60s` and `1m` are the same. */
function keeping({ history, presence = false }: KindSettings) {
  return { history: history === undefined ? undefined : [history.size, durationMs(history.ttl)], presence };
}

function broadcastFaults(settings: Settings, arePathsSound: boolean, isSound: IsSound): string[] {
  const { broadcasts = [] } = settings;
  if (!Array.isArray(broadcasts)) return [];
  return broadcasts.flatMap(({ path }, index) => {
    if (!isSound(`/broadcasts/${index}/path`)) return [];
    const isChannel = !arePathsSound || targetOf(pathKindsOf(settings), path) !== undefined;
    if (isChannel && !/[{}]/.test(path)) return [];
    return [faultLine(`broadcasts[${index}].path`, show(path), "the path of one channel of some kind, without {values}")];
  });
}

/** The kinds, with the defaults of `access` and `publish`: `token` once any key is set. */
export function kindsOf({ auth, channels }: Pick<Settings, "auth" | "channels">): Kind[] {
  const rule = Object.values(auth).some((key) => key !== "") ? "token" : "open";
  return (channels ?? builtinKinds).map((kind) => new Kind({ access: rule, publish: rule, ...kind }));
}

/** The kinds with the keys that decide their paths; the others may have faults. */
function pathKindsOf({ auth, channels }: Settings): Kind[] {
  const paths = channels?.map(({ path, params, name }) => ({
    path,
    ...(params === undefined ? {} : { params }),
    ...(name === undefined ? {} : { name }),
  }));
  return kindsOf(paths === undefined ? { auth } : { auth, channels: paths });
}

/** The channel of a path, or undefined if there is none. */
export function targetOf(kinds: readonly Kind[], path: string): Target | undefined {
  try {
    return resolveTarget(kinds, parsePath(path));
  } catch {
    return undefined;
  }
}
