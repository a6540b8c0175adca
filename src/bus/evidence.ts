import type { Position } from "../position.ts";

/** Channels of which the newest entry seen is remembered. */
const MAX_CHANNELS = 20_000;

/** An entry that was seen of a channel; a stamp of 0 is not known. */
export interface Mark extends Position {
  readonly stamp: number;
}

/** What a script looks for in a log: epoch, offset and stamp, which is '' where it is not known. */
export type Check = [epoch: string, offset: number, stamp: number | string];

/** The newest entry seen of a channel, and the one that was the newest when Redis was lost, until Redis has shown that it has it still. */
interface Seen {
  epoch: string;
  offset: number;
  stamp: number;
  doubted: Mark | undefined;
}

/**
 * What this instance has seen of the logs of channels. A log that has lost an entry which somebody was told of gives offsets a
 * second time: it must begin a new epoch, and this is how it is found out.
 */
export class Evidence {
  readonly #seen = new Map<string, Seen>();

  /** The newest entry, or the one in doubt, with its stamp. */
  of(channel: string): Check {
    const seen = this.#seen.get(channel);
    return checkOf(seen?.doubted ?? seen);
  }

  /** For a script that appends: with the stamp only while it is in doubt, since to look for it costs; and what is in doubt. */
  brief(channel: string): { readonly check: Check; readonly doubted: Mark | undefined } {
    const seen = this.#seen.get(channel);
    if (seen === undefined || seen.doubted !== undefined) return { check: checkOf(seen?.doubted), doubted: seen?.doubted };
    return { check: [seen.epoch, seen.offset, ""], doubted: undefined };
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
    const seen = this.#seen.get(channel);
    if (seen === undefined) {
      this.#dropOldest();
      this.#seen.set(channel, { epoch, offset, stamp, doubted: undefined });
      return;
    }
    if (seen.epoch === epoch && seen.offset >= offset) return;
    seen.epoch = epoch;
    seen.offset = offset;
    seen.stamp = stamp;
    // The oldest ones stand first, as soon as it matters.
    if (this.#seen.size < MAX_CHANNELS / 2) return;
    this.#seen.delete(channel);
    this.#seen.set(channel, seen);
  }

  /** A connection was lost, and Redis may forget: what was seen until now is to be shown again. */
  doubt(): void {
    for (const seen of this.#seen.values()) seen.doubted ??= { epoch: seen.epoch, offset: seen.offset, stamp: seen.stamp };
  }

  /** Redis has shown that it has what was in doubt, or has begun anew. */
  trust(channel: string, doubted: Mark | undefined): void {
    if (doubted === undefined) return;
    const seen = this.#seen.get(channel);
    if (seen !== undefined && seen.doubted === doubted) seen.doubted = undefined;
  }

  #dropOldest(): void {
    if (this.#seen.size < MAX_CHANNELS) return;
    for (const oldest of this.#seen.keys()) {
      this.#seen.delete(oldest);
      return;
    }
  }
}

export function checkOf(mark: Mark | undefined): Check {
  if (mark === undefined) return ["", 0, ""];
  return [mark.epoch, mark.offset, mark.stamp === 0 && mark.offset > 0 ? "" : mark.stamp];
}
