import { resolveTarget, type Kind, type Target } from "./kind.ts";
import { parsePath } from "./path.ts";

/** Paths that are remembered. */
const MAX_PATHS = 10_000;

/** Which channels the paths of requests lead to. All who come by one path share what is known of it. */
export class Resolver {
  readonly #kinds: readonly Kind[];
  readonly #found = new Map<string, Target>();

  constructor(kinds: readonly Kind[]) {
    this.#kinds = kinds;
  }

  /**
   * The channel of a raw path (what follows `/ws/`, without query), or undefined where there is none.
   *
   * @throws Problem `malformed-path`
   */
  byPath(raw: string): Target | undefined {
    const known = this.#found.get(raw);
    if (known !== undefined) return known;
    const resolved = resolveTarget(this.#kinds, parsePath(raw));
    if (resolved === undefined) return undefined;
    // Whoever asks for ever new ones has the others forgotten, and no more.
    if (this.#found.size === MAX_PATHS) this.#found.clear();
    this.#found.set(raw, resolved);
    return resolved;
  }
}
