import type { Kind, Target } from "./kind.ts";
import { parsePath } from "./path.ts";

/** The limit on remembered paths, and on remembered names. */
const MAX_REMEMBERED = 10_000;

/**
 * Finds channels by path and by name. It remembers what it found, so all clients of one path share one {@link Target}.
 *
 * Both directions agree: a name's target is the target of one of its paths, so a name never gives rights that no path gives.
 */
export class Resolver {
  readonly #kinds: readonly Kind[];
  readonly #byPath = new Map<string, Target>();
  readonly #byName = new Map<string, Target>();

  constructor(kinds: readonly Kind[]) {
    this.#kinds = kinds;
  }

  /**
   * The channel of a raw path (what follows `/ws/`, without query), or undefined if there is none.
   *
   * @throws Problem `malformed-path`
   */
  byPath(raw: string): Target | undefined {
    return this.#byPath.get(raw) ?? remember(this.#byPath, raw, resolveTarget(this.#kinds, parsePath(raw)));
  }

  /**
   * The channel of a name on the bus, or undefined if no path leads to it, or if its path cannot be told from it (a name that leaves
   * out a value of the path). If kinds share the channel, the one that it belongs to decides, see {@link kindNaming}.
   */
  byName(channel: string): Target | undefined {
    return this.#byName.get(channel) ?? remember(this.#byName, channel, targetNamed(this.#kinds, channel));
  }
}

function remember(known: Map<string, Target>, key: string, target: Target | undefined): Target | undefined {
  if (target === undefined) return undefined;
  // A client that asks for ever new paths costs the others a second look-up, and no memory.
  if (known.size === MAX_REMEMBERED) known.clear();
  known.set(key, target);
  return target;
}

/** The kind that the channel of a name belongs to: the one with the most literal text in its names, and of several the first. */
export function kindNaming(kinds: readonly Kind[], channel: string): Kind | undefined {
  return kindsNaming(kinds, channel)[0];
}

/**
 * The target of the first kind that a path matches, or undefined if its channel belongs to another kind. With kinds `{a}` and
 * `rooms/{b}`, the path `rooms:x` would otherwise enter a room without the rights that rooms ask for.
 */
export function resolveTarget(kinds: readonly Kind[], segments: readonly string[]): Target | undefined {
  for (const kind of kinds) {
    const target = kind.match(segments);
    if (target !== undefined) return kindNaming(kinds, target.channel)?.mayShare(kind) === true ? target : undefined;
  }
  return undefined;
}

function targetNamed(kinds: readonly Kind[], channel: string): Target | undefined {
  for (const kind of kindsNaming(kinds, channel)) {
    const path = kind.pathTo(channel);
    const target = path === undefined ? undefined : resolveTarget(kinds, path);
    // A kind that stands earlier may take the path for itself, and lead to another channel.
    if (target?.channel === channel) return target;
  }
  return undefined;
}

/** All kinds with a channel of this name, its owner first. */
function kindsNaming(kinds: readonly Kind[], channel: string): Kind[] {
  return kinds.filter((kind) => kind.names(channel)).toSorted((a, b) => b.weight - a.weight);
}
