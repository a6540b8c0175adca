import { Problem } from "../errors.ts";
import { durationMs } from "../lib/duration.ts";
import type { Message } from "../message.ts";
import type { Retention } from "../position.ts";
import { ChannelName } from "./channel-name.ts";
import { segmentFault } from "./path.ts";
import { compileEnvelope, envelopeVariables, isQuoted, unknownVariables, type Envelope } from "./envelope.ts";
import { compileExpression, expressionFault, type Expression } from "./expression.ts";

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
  /** The first connection of a member in the cluster, and the end of its last one, are reported on the channel. No file asks for it. */
  announces_members?: boolean | undefined;
  /** Who may join and read; default: `open`. A configuration says `token` for it where any key is set. */
  access?: Access | undefined;
  /** Who may publish; default as for `access`. */
  publish?: PublishRule | undefined;
  /** A value of the path: who joins or publishes has to be that subject. */
  owner?: string | undefined;
}

export type Access = "open" | "token";
/** `key`: only those with the API key. */
export type PublishRule = "open" | "token" | "key";

/** What happens to the clients of a channel without history that may have missed something. */
export type OnGap = "close" | "ignore";

/** A place in the settings of a kind that cannot be used: what was found there, and what is allowed. */
export interface KindFault {
  readonly key: string;
  readonly found: unknown;
  readonly allowed: string;
}

export interface Target {
  readonly kind: Kind;
  /** The channel's name on the bus. */
  readonly channel: string;
  /** The path, decoded. */
  readonly segments: readonly string[];
  /** The subject that alone may come here, where the kind has owners. */
  readonly owner: string | undefined;
}

type Segment = { readonly literal: string } | { readonly value: string };

const VALUE = /^\{([A-Za-z_]\w*)\}$/;

/** One kind of channel: which paths are of it, what they are called on the bus, and how it treats messages. */
export class Kind {
  readonly path: string;
  readonly onGap: OnGap;
  /** Undefined where nothing is kept. */
  readonly history: Retention | undefined;
  readonly presence: boolean;
  readonly announcesMembers: boolean;
  readonly access: Access;
  readonly publish: PublishRule;
  readonly #owner: string | undefined;
  readonly #segments: readonly Segment[];
  readonly #patterns: ReadonlyMap<string, Expression>;
  readonly #name: ChannelName;
  readonly #envelope: Envelope | undefined;

  /** @param settings must be without faults, see {@link kindFaults} */
  constructor(settings: KindSettings) {
    this.path = settings.path;
    this.onGap = settings.on_gap ?? "close";
    const { history } = settings;
    this.history = history === undefined ? undefined : { size: history.size, ttlMs: durationMs(history.ttl) };
    this.presence = settings.presence ?? false;
    this.announcesMembers = settings.announces_members ?? false;
    this.access = settings.access ?? "open";
    this.publish = settings.publish ?? "open";
    this.#owner = settings.owner;
    this.#segments = segmentsOf(settings.path);
    this.#patterns = new Map(Object.entries(settings.params ?? {}).map(([value, source]) => [value, compileExpression(source)]));
    this.#name = nameOf(settings);
    this.#envelope = settings.envelope === undefined ? undefined : compileEnvelope(settings.envelope);
  }

  /** The channel for a path of decoded segments, or undefined where the path is of another kind. */
  match(segments: readonly string[]): Target | undefined {
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
    const owner = this.#owner === undefined ? undefined : values.get(this.#owner);
    return { kind: this, channel: this.#name.format(values), segments, owner };
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

  get isOwned(): boolean {
    return this.#owner !== undefined;
  }

  /** Whether a channel of this name is one of this kind. */
  names(channel: string): boolean {
    const values = this.#name.parse(channel);
    return values !== undefined && [...values].every(([value, given]) => this.#fits(value, given));
  }

  /** Whether it does no harm that a channel is of both: they call theirs alike, on purpose, or treat clients alike. */
  mayShare(other: Kind): boolean {
    if (this.#name.shape === other.#name.shape) return true;
    const isUnowned = !this.isOwned && !other.isOwned;
    const isKeptAlike = this.history?.size === other.history?.size && this.history?.ttlMs === other.history?.ttlMs;
    return isUnowned && isKeptAlike && this.access === other.access && this.publish === other.publish && this.presence === other.presence;
  }

  /** How much of a channel's name it says itself. */
  get weight(): number {
    return this.#name.weight;
  }

  #fits(value: string, given: string): boolean {
    return segmentFault(given) === undefined && this.#patterns.get(value)?.test(given) !== false;
  }
}

/** What a kind calls its channels, whatever it calls its values: kinds where this is equal share channels. */
export function nameShape(settings: KindSettings): string {
  return nameOf(settings).shape;
}

function nameOf({ name, path }: KindSettings): ChannelName {
  return new ChannelName(name ?? path.replaceAll("/", ":"));
}

/** Whether who is on one of two channels is on the other: they have one name, and both keep history or both do not. */
export function isAlike(a: Target, b: Target): boolean {
  return a.channel === b.channel && (a.kind.history === undefined) === (b.kind.history === undefined);
}

/**
 * The kind to which the channel of a name belongs: of those that could call one so, the one that says most of the name itself, and
 * of several the first.
 */
export function kindNaming(kinds: readonly Kind[], channel: string): Kind | undefined {
  const named = kinds.filter((kind) => kind.names(channel));
  const most = Math.max(...named.map(({ weight }) => weight));
  return named.find(({ weight }) => weight === most);
}

/**
 * The first kind that a path is of; none where the channel belongs to another kind. With `{a}` and `rooms:{b}`, the value `rooms:x`
 * would else enter a room without the rights that rooms ask for.
 */
export function resolveTarget(kinds: readonly Kind[], segments: readonly string[]): Target | undefined {
  for (const kind of kinds) {
    const resolved = kind.match(segments);
    if (resolved === undefined) continue;
    return kindNaming(kinds, resolved.channel)?.mayShare(kind) === true ? resolved : undefined;
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
  for (const value of new ChannelName(settings.name ?? "").values) {
    if (!values.has(value)) faults.push({ key: "name", found: `{${value}}`, allowed: list });
  }
  if (/\p{Cc}/u.test(settings.name ?? "")) faults.push({ key: "name", found: settings.name, allowed: "a text without control characters" });
  for (const [value, source] of Object.entries(settings.params ?? {})) {
    const allowed = values.has(value) ? expressionFault(source) : list;
    if (allowed !== undefined) faults.push({ key: `params.${value}`, found: source, allowed });
  }
  if (nameOf(settings).isAmbiguous)
    faults.push({ key: "name", found: settings.name, allowed: "between two values a text that no percent-encoding is made of" });
  const { owner } = settings;
  if (owner !== undefined && !values.has(owner)) faults.push({ key: "owner", found: owner, allowed: list });
  // Else everybody would be the owner of some path to the same channel.
  else if (owner !== undefined && !nameOf(settings).values.includes(owner)) {
    faults.push({ key: "owner", found: owner, allowed: "a value that is in the channel's name" });
  }
  for (const variable of unknownVariables(settings.envelope ?? "")) {
    faults.push({ key: "envelope", found: variable, allowed: envelopeVariables.join(", ") });
  }
  if (isQuoted(settings.envelope ?? "")) {
    faults.push({ key: "envelope", found: settings.envelope, allowed: "variables outside of quotes: they bring their own" });
  }
  return faults;
}

function segmentsOf(path: string): Segment[] {
  return path.split("/").map((segment) => {
    const value = VALUE.exec(segment)?.[1];
    return value === undefined ? { literal: segment } : { value };
  });
}
