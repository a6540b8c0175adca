import type { Kind, Target } from "../channels/kind.ts";
import { IndexedBag, type Member } from "../lib/indexed-bag.ts";
import type { Message } from "../message.ts";
import { formatPosition } from "../position.ts";
import { Follower, type FollowerListener } from "./follower.ts";
import type { Subscriber } from "./subscriber.ts";

/** About how much of a log is read, and sent to a client, at a time. */
export const PAGE_BYTES = 256 * 1024;

/** A channel that has clients here, or had some a moment ago. */
export class LocalChannel {
  readonly name: string;
  /** The newest of those who came, where the configuration was read anew meanwhile. */
  kind: Kind;
  /** Undefined on a channel without history. */
  readonly follower: Follower<LocalChannel> | undefined;
  /** Where its clients listen. It changes when there is a gap: those who have it stay behind on the old one. */
  topic: string;
  readonly seats = new IndexedBag<Seat>();
  /** Those that were promised a place and have not taken it yet; mostly nobody. */
  #waiting: Set<Seat> | undefined;
  /** Whether the instance itself listens, and there is somebody as long as it lives. */
  readonly own: boolean;
  /** Delivered since the last look at the backlogs, in UTF-16 units of text and bytes of binary. */
  unchecked = 0;
  /** Those to be told of a gap before they get anything more; mostly nobody. */
  untold: Set<Subscriber> | undefined;
  /** Whether it was logged that somebody else publishes here. */
  foreign = false;

  constructor(name: string, kind: Kind, topic: string, listener: FollowerListener<LocalChannel>, own = false) {
    this.name = name;
    this.kind = kind;
    this.topic = topic;
    this.own = own;
    this.follower = kind.history === undefined ? undefined : new Follower(this, listener);
  }

  /** Whether it can be of a kind: it keeps history, or it does not. */
  suits(kind: Kind): boolean {
    return (this.follower === undefined) === (kind.history === undefined);
  }

  /** Those on it and those about to be: a list of its own, so that they may leave meanwhile. */
  get everybody(): Seat[] {
    return [...this.seats.all, ...(this.#waiting ?? [])];
  }

  get empty(): boolean {
    return this.seats.size === 0 && this.#waiting === undefined && !this.own;
  }

  /** The seat was promised. */
  promise(seat: Seat): void {
    (this.#waiting ??= new Set()).add(seat);
  }

  /** The seat is taken now, or given back. A second time does nothing. */
  keep(seat: Seat): void {
    this.#waiting?.delete(seat);
    if (this.#waiting?.size === 0) this.#waiting = undefined;
  }
}

/** What a client gets first on a channel with history. */
export interface Opening {
  readonly epoch: string;
  /** The offset after which the messages begin. */
  readonly start: number;
  /** Whether nothing is missing since the position that was asked for; null where none was. */
  readonly resumed: boolean | null;
  readonly messages: readonly Message[];
  /** Whether they reach the end of the log. */
  readonly whole: boolean;
}

/**
 * A client's place on a channel: reserved, then taken, then left. Where more is replayed than is sent at a time, it is
 * `replaying` before it is taken: the client has its first part, and asks for more as it reads.
 */
export class Seat implements Member {
  place = -1;
  readonly local: LocalChannel;
  /** What it is on. The kind may be replaced by a newer one that calls the channel the same. */
  target: Target;
  state: "reserved" | "replaying" | "taken" | "left" = "reserved";
  /** Whether the follower holds messages for it. */
  holding = false;
  subscriber: Subscriber | undefined;
  /** Whether it was said that its subscriber is present. */
  present = false;
  /** Whether its path leads to another channel, or to one of another nature, since the configuration was read anew. */
  moved = false;
  /** Is called when it has moved. */
  onMoved: (() => void) | undefined;
  /** Until the seat is taken, on a channel with history: what has not been sent yet. */
  opening: Opening | undefined;
  /** Since when the next part of its replay cannot be had, though the bus is there. */
  stuckSinceMs: number | undefined;
  #stoppedAt: string | undefined;

  constructor(local: LocalChannel, target: Target) {
    this.local = local;
    this.target = target;
  }

  /** The channel's name on the bus. */
  get channel(): string {
    return this.local.name;
  }

  get resumed(): boolean | null {
    return this.opening?.resumed ?? null;
  }

  /** Where what follows begins, then the position of the last message sent; null on a channel without history. */
  get position(): string | null {
    if (this.#stoppedAt !== undefined) return this.#stoppedAt;
    if (this.opening !== undefined) return formatPosition(this.opening.epoch, this.opening.start);
    return this.local.follower?.position ?? null;
  }

  move(): void {
    this.moved = true;
    this.onMoved?.();
  }

  /** Nothing more is sent from here on. */
  stop(position: string | null): void {
    this.#stoppedAt ??= position ?? undefined;
  }
}
