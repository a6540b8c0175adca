import { Problem } from "../errors.ts";
import { RE2JS } from "re2js";

const MAX_VALUE_BYTES = 255;
const CONTROL = /\p{Cc}/u;

/**
 * Splits the raw path of a channel (what follows `/ws/`, without query) into its decoded segments.
 * Each segment is percent-decoded once, so `%2F` stays inside its value (RFC 3986 §2.4).
 *
 * @throws Problem `malformed-path`
 */
export function parsePath(raw: string): string[] {
  return raw.split("/").map(parseSegment);
}

/** The fault of a decoded segment, if it has one. */
export function segmentFault(value: string): string | undefined {
  if (value === "") return "A path has no empty segment and no trailing slash.";
  if (value === "." || value === "..") return "A segment may not be . or ..";
  if (CONTROL.test(value)) return "A segment may not hold control characters.";
  return Buffer.byteLength(value) > MAX_VALUE_BYTES ? `A segment holds at most ${MAX_VALUE_BYTES} bytes of UTF-8.` : undefined;
}

function parseSegment(raw: string): string {
  const value = decodeSegment(raw);
  const fault = segmentFault(value);
  if (fault !== undefined) throw new Problem("malformed-path", fault);
  return value;
}

function decodeSegment(raw: string): string {
  try {
    return decodeURIComponent(raw);
  } catch {
    throw new Problem("malformed-path", "A segment holds a bad percent-escape or bad UTF-8.");
  }
}

type Segment = { readonly literal: string } | { readonly value: string };

const INTEGER = "0|[1-9][0-9]{0,18}";
const VALUE = /^\{([A-Za-z_]\w*)\}$/;

/** The pattern of a kind's paths: segments that are literal or one `{value}`, as in `rooms/{room}`. */
export class PathTemplate {
  readonly #segments: readonly Segment[];
  readonly #expressions: ReadonlyMap<string, RE2JS>;

  /**
   * @param params for a value, `integer` or a regular expression
   * @throws Error for an expression that cannot be compiled
   */
  constructor(path: string, params: Readonly<Record<string, string>> = {}) {
    this.#segments = path.split("/").map((segment) => {
      const value = VALUE.exec(segment)?.[1];
      return value === undefined ? { literal: segment } : { value };
    });
    this.#expressions = new Map(Object.entries(params).map(([value, source]) => [value, compileExpression(source)]));
  }

  /** The names of its values, each as often as the template holds it. */
  get valueNames(): readonly string[] {
    return this.#segments.flatMap((segment) => ("value" in segment ? [segment.value] : []));
  }

  /** The first literal segment that no path can hold. */
  get badSegment(): string | undefined {
    const literals = this.#segments.flatMap((segment) => ("literal" in segment ? [segment.literal] : []));
    return literals.find((literal) => /[{}]/.test(literal) || segmentFault(literal) !== undefined);
  }

  /** The values in a path of decoded segments, or undefined if the path does not match. */
  match(segments: readonly string[]): ReadonlyMap<string, string> | undefined {
    if (segments.length !== this.#segments.length) return undefined;
    const values = new Map<string, string>();
    for (const [index, own] of this.#segments.entries()) {
      const given = segments[index] ?? "";
      if ("literal" in own) {
        if (own.literal !== given) return undefined;
      } else {
        if (!this.#matchesExpression(own.value, given)) return undefined;
        values.set(own.value, given);
      }
    }
    return values;
  }

  /** Some path can hold all of these values. */
  accepts(values: ReadonlyMap<string, string>): boolean {
    return [...values].every(([value, given]) => segmentFault(given) === undefined && this.#matchesExpression(value, given));
  }

  /** The decoded segments of the path with these values, or undefined if one is missing. */
  fill(values: ReadonlyMap<string, string>): readonly string[] | undefined {
    const segments = this.#segments.map((segment) => ("literal" in segment ? segment.literal : values.get(segment.value)));
    const known = segments.filter((segment) => segment !== undefined);
    return known.length === segments.length ? known : undefined;
  }

  #matchesExpression(value: string, given: string): boolean {
    return this.#expressions.get(value)?.testExact(given) !== false;
  }
}

/**
 * Compiles `integer` or a regular expression. It runs on RE2's algorithm (https://github.com/google/re2/wiki/WhyRE2), because a
 * backtracking engine lets one chosen value block the server (CWE-1333).
 *
 * @throws Error for a source with a fault, see {@link expressionFault}
 */
function compileExpression(source: string): RE2JS {
  return RE2JS.compile(RE2JS.translateRegExp(source === "integer" ? INTEGER : source));
}

/** The allowed form, if a source cannot be compiled. */
export function expressionFault(source: string): string | undefined {
  try {
    compileExpression(source);
    return undefined;
  } catch {
    return '"integer" or a regular expression, without look-around and back-references';
  }
}
