import { Problem } from "../errors.ts";
import { durationMs } from "../lib/time.ts";
import type { Message } from "../message.ts";
import type { Retention } from "../position.ts";
import { ChannelName } from "./channel-name.ts";
import { compileEnvelope, type Envelope } from "./envelope.ts";
import { PathTemplate } from "./path.ts";

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
  /** The number of messages to keep, and the time after the last one: digits and ms, s, m, h or d. */
  history?: { size: number; ttl: string } | undefined;
  /** Everybody who may read the channel may see its members. */
  presence?: boolean | undefined;
  /** Reports the first connection of a member in the cluster, and the end of its last one, on the channel. No file asks for it. */
  announces_members?: boolean | undefined;
  /** The rule for joining and reading; default: `open`. A configuration with any key defaults to `token`. */
  access?: Access | undefined;
  /** The rule for publishing; default as for `access`. */
  publish?: PublishRule | undefined;
  /** A value of the path: only the subject equal to it may join or publish. */
  owner?: string | undefined;
}

export type Access = "open" | "token";
/** `key`: only the API key may publish. */
export type PublishRule = "open" | "token" | "key";

/** The treatment of clients of a channel without history that may have missed something. */
export type OnGap = "close" | "ignore";

/** One channel as one path leads to it. Kinds may share a channel, so two targets of one channel may differ in everything else. */
export interface Target {
  /** The rules that apply to whoever came by this path. */
  readonly kind: Kind;
  /** The channel's name on the bus, without the prefix of the Redis. */
  readonly channel: string;
  /** The path, decoded: the patterns of tokens match these. */
  readonly segments: readonly string[];
  /** The values of the path, decoded, by the names that the kind gives them. */
  readonly values: ReadonlyMap<string, string>;
  /** The only subject that may join or publish; undefined if the kind has no owners. */
  readonly owner: string | undefined;
}

/** One kind of channel: its paths, the names of its channels on the bus, and its rules for messages and clients. */
export class Kind {
  readonly path: string;
  readonly onGap: OnGap;
  /** Undefined: no history. */
  readonly history: Retention | undefined;
  readonly presence: boolean;
  readonly announcesMembers: boolean;
  readonly access: Access;
  readonly publish: PublishRule;
  readonly #owner: string | undefined;
  readonly #template: PathTemplate;
  readonly #name: ChannelName;
  readonly #envelope: Envelope | undefined;

  /** @param settings must be without faults, see `kindFaults` */
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
    this.#template = new PathTemplate(settings.path, settings.params);
    this.#name = ChannelName.of(settings);
    this.#envelope = settings.envelope === undefined ? undefined : compileEnvelope(settings.envelope);
  }

  /** The channel for a path of decoded segments, or undefined if the path is of another kind. */
  match(segments: readonly string[]): Target | undefined {
    const values = this.#template.match(segments);
    if (values === undefined) return undefined;
    const owner = this.#owner === undefined ? undefined : values.get(this.#owner);
    return { kind: this, channel: this.#name.format(values), segments, values, owner };
  }

  /**
   * The message to publish for a client's `message`: the message itself, or the text in the kind's envelope.
   *
   * @throws Problem `binary-refused`, `malformed-text`
   */
  encode(message: Message, sender: string | null): Message {
    if (this.#envelope === undefined) return message;
    if (typeof message !== "string") throw new Problem("binary-refused", "This channel takes text only.");
    return this.#envelope.wrap(message, sender);
  }

  /** True where clients go on after messages that may be missing, without a word. */
  get ignoresGaps(): boolean {
    return this.history === undefined && this.onGap === "ignore";
  }

  get isOwned(): boolean {
    return this.#owner !== undefined;
  }

  /** One of this kind's channels could have this name. */
  names(channel: string): boolean {
    return this.#valuesOf(channel) !== undefined;
  }

  /** The path of the channel of a name, decoded; undefined if the name is of another kind, or leaves values of the path open. */
  pathTo(channel: string): readonly string[] | undefined {
    const values = this.#valuesOf(channel);
    return values === undefined ? undefined : this.#template.fill(values);
  }

  /** The kinds may share a channel: both have the same names, on purpose, or both treat clients alike. */
  mayShare(other: Kind): boolean {
    if (this.#name.shape === other.#name.shape) return true;
    const isUnowned = !this.isOwned && !other.isOwned;
    const isKeptAlike = this.history?.size === other.history?.size && this.history?.ttlMs === other.history?.ttlMs;
    return isUnowned && isKeptAlike && this.access === other.access && this.publish === other.publish && this.presence === other.presence;
  }

  /** The number of literal characters in a channel's name. */
  get weight(): number {
    return this.#name.weight;
  }

  #valuesOf(channel: string): ReadonlyMap<string, string> | undefined {
    const values = this.#name.parse(channel);
    return values !== undefined && this.#template.accepts(values) ? values : undefined;
  }
}

/** Both targets are the same channel on the bus, and both keep history or neither does. */
export function isAlike(a: Target, b: Target): boolean {
  return a.channel === b.channel && (a.kind.history === undefined) === (b.kind.history === undefined);
}
