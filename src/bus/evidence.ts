import type { Position } from "../position.ts";

/** Of so many channels the newest entry seen is remembered, or of twice as many as are followed here, if that is more. */
const MIN_CHANNELS = 20_000;
const NONE: readonly number[] = [];

/** An entry that was seen of a channel; a stamp of 0 is not known. */
export interface Mark extends Position {
  readonly stamp: number;
}

/** What a script looks for in a log: epoch, offset and stamp, which is '' where it is not known. */
export type Check = [epoch: string, offset: number, stamp: number | string];

/** The newest entry seen of a channel, and the one that was the newest when Redis was lost, until Redis has shown that it has it still. */
export interface Seen {
  readonly channel: string;
  /** Empty while nothing is known. */
  epoch: string;
  offset: number;
  stamp: number;
  doubted: Mark | undefined;
  /** The stamp under which this instance has last written to the log, and those of the same batch before, where it has written it again. */
  written: number;
  earlier: readonly number[];
  /** Where one of these was heard of, though it may not have been answered; the epoch is empty where it was not. */
  heardEpoch: string;
  heardOffset: number;
  /** Whether more than its first entry came since the last look for what can make room. */
  isRecent: boolean;
  /** Whether it had to make room: then it is told nothing any more, and another one has to be asked for. */
  isForgotten: boolean;
}

/**
 * What this instance has seen of the logs of channels. A log that has lost an entry which somebody was told of gives offsets a
 * second time: it must begin a new epoch, and this is how it is found out.
 */
export class Evidence {
  readonly #seen = new Map<string, Seen>();
  readonly #followed: () => number;

  /** @param followed how many channels are followed here */
  constructor(followed: () => number) {
    this.#followed = followed;
  }

  /** What was seen of a channel; may be kept, while it is not forgotten, so that it has to be looked for only once. */
  about(channel: string): Seen {
    let seen = this.#seen.get(channel);
    if (seen === undefined) {
      this.#makeRoom();
      seen = {
        channel,
        epoch: "",
        offset: 0,
        stamp: 0,
        doubted: undefined,
        written: 0,
        earlier: NONE,
        heardEpoch: "",
        heardOffset: 0,
        isRecent: false,
        isForgotten: false,
      };
      this.#seen.set(channel, seen);
    }
    return seen;
  }

  /** The newest entry, or the one in doubt, with its stamp. */
  of(channel: string): Check {
    const seen = this.#seen.get(channel);
    return checkOf(seen?.doubted ?? seen);
  }

  /** For a script that appends: with the stamp only while it is in doubt, since to look for it costs. */
  brief(channel: string): Check {
    const seen = this.#seen.get(channel);
    if (seen === undefined || seen.doubted !== undefined) return checkOf(seen?.doubted);
    return [seen.epoch, seen.offset, ""];
  }

  /** What is in doubt of a channel; to be given to `trust` when a script has looked for it. */
  doubted(channel: string): Mark | undefined {
    return this.#seen.get(channel)?.doubted;
  }

  /** Channels of which something is in doubt. */
  get inDoubt(): string[] {
    return Array.from(this.#seen).flatMap(([channel, { doubted }]) => (doubted === undefined ? [] : [channel]));
  }

  saw(channel: string, epoch: string, offset: number, stamp: number): void {
    this.note(this.about(channel), epoch, offset, stamp);
  }

  /** This instance writes to the log; `again` where it has written the same before, and nobody knows what became of that. */
  wrote(seen: Seen, stamp: number, again: boolean): void {
    seen.earlier = again ? [...seen.earlier, seen.written] : NONE;
    seen.written = stamp;
    seen.heardEpoch = "";
  }

  /** Sees what was delivered: that may be what this instance has written. */
  heard(seen: Seen, epoch: string, offset: number, stamp: number): void {
    if (stamp === seen.written || seen.earlier.includes(stamp)) {
      seen.heardEpoch = epoch;
      seen.heardOffset = offset;
    }
    this.note(seen, epoch, offset, stamp);
  }

  /** The same, where it is known already what was seen of the channel. */
  note(seen: Seen, epoch: string, offset: number, stamp: number): void {
    if (seen.epoch === epoch && seen.offset >= offset) return;
    seen.isRecent = seen.epoch !== "";
    seen.epoch = epoch;
    seen.offset = offset;
    seen.stamp = stamp;
  }

  /** A connection was lost, and Redis may forget: what was seen until now is to be shown again. */
  doubt(): void {
    for (const seen of this.#seen.values()) {
      if (seen.epoch !== "") seen.doubted ??= { epoch: seen.epoch, offset: seen.offset, stamp: seen.stamp };
    }
  }

  /** Redis has shown that it has what was in doubt, or has begun anew. */
  trust(channel: string, doubted: Mark | undefined): void {
    if (doubted === undefined) return;
    const seen = this.#seen.get(channel);
    if (seen !== undefined && seen.doubted === doubted) seen.doubted = undefined;
  }

  /** Those to which something came get a second chance (the clock of operating systems): to move each with its messages would cost more. */
  #makeRoom(): void {
    if (this.#seen.size < MIN_CHANNELS || this.#seen.size < 2 * this.#followed()) return;
    for (const [channel, seen] of this.#seen) {
      this.#seen.delete(channel);
      if (!seen.isRecent) {
        seen.isForgotten = true;
        return;
      }
      seen.isRecent = false;
      this.#seen.set(channel, seen);
    }
  }
}

/** Nothing is known where the epoch is empty. */
export function checkOf(mark: Mark | undefined): Check {
  if (mark === undefined || mark.epoch === "") return ["", 0, ""];
  return [mark.epoch, mark.offset, mark.stamp === 0 && mark.offset > 0 ? "" : mark.stamp];
}
