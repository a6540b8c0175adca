import { parsePath } from "../channels/path.ts";

const ONE = Symbol("any one segment");
const REST = Symbol("one segment or more");

/** A pattern of paths in a token: `*` stands for any one segment, and a last `**` for one or more. */
export class Pattern {
  readonly #segments: readonly (string | typeof ONE)[];
  readonly #open: boolean;

  private constructor(segments: readonly (string | typeof ONE)[], open: boolean) {
    this.#segments = segments;
    this.#open = open;
  }

  /**
   * Parses a pattern. Segments are percent-decoded as in a path, so `%2A` is the character and not the wildcard.
   *
   * @returns undefined for a text that is not a pattern, which gives no right
   */
  static parse(text: string): Pattern | undefined {
    const parts = text.split("/").map(parsePart);
    const rest = parts.indexOf(REST);
    if (rest !== -1 && rest < parts.length - 1) return undefined;
    const segments = parts.filter((part) => part !== REST && part !== undefined);
    return parts.includes(undefined) ? undefined : new Pattern(segments, rest !== -1);
  }

  /** @param path decoded segments */
  matches(path: readonly string[]): boolean {
    const own = this.#segments.length;
    if (this.#open ? path.length <= own : path.length !== own) return false;
    return this.#segments.every((segment, index) => segment === ONE || segment === path[index]);
  }
}

function parsePart(part: string): string | typeof ONE | typeof REST | undefined {
  if (part === "*") return ONE;
  if (part === "**") return REST;
  try {
    return parsePath(part)[0];
  } catch {
    return undefined;
  }
}
