import { Problem } from "../errors.ts";
import { parseDuration } from "../duration.ts";
import type { Message } from "../message.ts";
import type { Retention } from "../position.ts";
import { segmentFault } from "./path.ts";
import { compileEnvelope, envelopeVariables, unknownVariables, type Envelope } from "./envelope.ts";

/** A kind of channel as a configuration file writes it (contract §8, `[[channels]]`). */
export interface KindSettings {
  /** A pattern of paths: segments that are literal or one `{value}`. */
  path: string;
  /** The Redis channel; default: the path with ":" for "/". */
  name?: string | undefined;
  /** For a value, `integer` or a regular expression that has to match all of it. */
  params?: Record<string, string> | undefined;
  envelope?: string | undefined;
  on_gap?: OnGap | undefined;
  /** How many messages are kept, and how long after the last one: digits and ms, s, m, h or d. */
  history?: { size: number; ttl: string } | undefined;
  /** Whether everybody may see who is on the channel. */
  presence?: boolean | undefined;
}

/** What happens to the clients of a channel without history that may have missed something. */
export type OnGap = "close" | "ignore";

/** A place in the settings of a kind that cannot be used: what was found there, and what is allowed. */
export interface KindFault {
  readonly key: string;
  readonly found: unknown;
  readonly allowed: string;
}

export interface Resolved {
  readonly kind: Kind;
  /** The channel's name on the bus. */
  readonly channel: string;
}

type Segment = { readonly literal: string } | { readonly value: string };

const VALUE = /^\{([A-Za-z_]\w*)\}$/;
const INTEGER = "0|[1-9][0-9]{0,18}";

/** One kind of channel: which paths are of it, what they are called on the bus, and how it treats messages. */
export class Kind {
  readonly path: string;
  readonly onGap: OnGap;
  /** Undefined where nothing is kept. */
  readonly history: Retention | undefined;
  readonly presence: boolean;
  readonly #segments: readonly Segment[];
  readonly #patterns: ReadonlyMap<string, RegExp>;
  readonly #name: readonly string[];
  readonly #envelope: Envelope | undefined;

  /** @param settings must be without faults, see {@link kindFaults} */
  constructor(settings: KindSettings) {
    this.path = settings.path;
    this.onGap = settings.on_gap ?? "close";
    const { history } = settings;
    this.history = history === undefined ? undefined : { size: history.size, ttlMs: parseDuration(history.ttl) };
    this.presence = settings.presence ?? false;
    this.#segments = segmentsOf(settings.path);
    this.#patterns = new Map(Object.entries(settings.params ?? {}).map(([value, source]) => [value, anchored(source)]));
    this.#name = nameParts(settings.name ?? settings.path.replaceAll("/", ":"));
    this.#envelope = settings.envelope === undefined ? undefined : compileEnvelope(settings.envelope);
  }

  /** The channel's name for a path of decoded segments, or undefined where the path is of another kind. */
  match(segments: readonly string[]): string | undefined {
    if (segments.length !== this.#segments.length) return undefined;
    const values = new Map<string, string>();
    for (const [index, own] of this.#segments.entries()) {
      const given = segments[index] ?? "";
      if ("literal" in own) {
        if (own.literal !== given) return undefined;
      } else {
        if (this.#patterns.get(own.value)?.test(given) === false) return undefined;
        values.set(own.value, given);
      }
    }
    return this.#channel(values);
  }

  /**
   * What is published when a client sends `message`: the message itself, or the text in the kind's envelope.
   *
   * @throws Problem `binary-refused`, `malformed-text`
   */
  encode(message: Message, sender: string | null): Message {
    if (this.#envelope === undefined) return message;
    if (typeof message !== "string") throw new Problem("binary-refused", "This channel takes text only.");
    return this.#envelope.wrap(message, sender);
  }

  #channel(values: ReadonlyMap<string, string>): string {
    // With two values a ":" inside one could stand for the ":" between them, and two paths would share a channel.
    const several = this.#name.length > 3;
    return this.#name
      .map((part, index) => {
        if (index % 2 === 0) return part;
        const value = values.get(part) ?? "";
        return several ? value.replaceAll("%", "%25").replaceAll(":", "%3A") : value;
      })
      .join("");
  }
}

/** What a kind calls its channels, whatever it calls its values: kinds where this is equal share channels. */
export function nameShape({ name, path }: KindSettings): string {
  return nameParts(name ?? path.replaceAll("/", ":"))
    .filter((_, index) => index % 2 === 0)
    .join("{}");
}

/** The first kind that a path is of. */
export function resolveKind(kinds: readonly Kind[], segments: readonly string[]): Resolved | undefined {
  for (const kind of kinds) {
    const channel = kind.match(segments);
    if (channel !== undefined) return { kind, channel };
  }
  return undefined;
}

/** Everything in the settings of a kind that is of the right type and still cannot be used. */
export function kindFaults(settings: KindSettings): KindFault[] {
  const faults: KindFault[] = [];
  const found: string[] = [];
  for (const segment of settings.path.split("/")) {
    const value = VALUE.exec(segment)?.[1];
    if (value !== undefined) found.push(value);
    if (value === undefined && (/[{}]/.test(segment) || segmentFault(segment) !== undefined)) {
      faults.push({ key: "path", found: settings.path, allowed: "segments between slashes, each plain text as in a path, or one {value}" });
      break;
    }
  }
  const values = new Set(found);
  const list = `the values of the path (${[...values].join(", ") || "it has none"})`;
  if (values.size < found.length) faults.push({ key: "path", found: settings.path, allowed: "each {value} once" });
  for (const part of nameParts(settings.name ?? "").filter((_, index) => index % 2 === 1)) {
    if (!values.has(part)) faults.push({ key: "name", found: `{${part}}`, allowed: list });
  }
  for (const [value, source] of Object.entries(settings.params ?? {})) {
    if (!values.has(value)) faults.push({ key: `params.${value}`, found: source, allowed: list });
    else if (!isExpression(source)) faults.push({ key: `params.${value}`, found: source, allowed: '"integer" or a regular expression' });
  }
  for (const variable of unknownVariables(settings.envelope ?? "")) {
    faults.push({ key: "envelope", found: variable, allowed: envelopeVariables.join(", ") });
  }
  return faults;
}

function segmentsOf(path: string): Segment[] {
  return path.split("/").map((segment) => {
    const value = VALUE.exec(segment)?.[1];
    return value === undefined ? { literal: segment } : { value };
  });
}

/** A name template cut at its values: text at even places, the names of values at odd ones. */
function nameParts(template: string): string[] {
  return template.split(/\{([A-Za-z_]\w*)\}/);
}

function anchored(source: string): RegExp {
  return new RegExp(`^(?:${source === "integer" ? INTEGER : source})$`, "u");
}

function isExpression(source: string): boolean {
  try {
    // Alone first: a stray ")" would close the group that anchors it.
    return [new RegExp(source, "u"), anchored(source)].length > 0;
  } catch {
    return false;
  }
}
