import type { Position } from "../../position.ts";

/** The newest entry is remembered of so many channels, or of twice as many as are followed here, if that is more. */
const MIN_CHANNELS = 20_000;
const NONE: readonly number[] = [];

/** An entry that was seen. A checkpoint of 0 is not known. */
export interface SeenEntry extends Position {
  readonly checkpoint: number;
}

/** An entry that a script looks for in a log. The checkpoint is '' if it is not known, and the epoch if nothing is. */
export type Expected = [epoch: string, offset: number, checkpoint: number | string];

/** The newest entry seen of a channel. */
export interface LastSeen {
  readonly channel: string;
  /** Empty while nothing is known. */
  epoch: string;
  offset: number;
  checkpoint: number;
  /** The newest entry at the time when Redis was lost, until Redis has proven that it still has it. */
  unproven: SeenEntry | undefined;
  /** The checkpoint that this instance last wrote, and those that it gave the same batch before, if it wrote that again. */
  written: number;
  earlier: readonly number[];
  /** The position at which one of these was delivered, though its write may be unanswered; the epoch is empty if none was. */
  heardEpoch: string;
  heardOffset: number;
  /** True if more than its first entry came since the last look for what can make room. */
  isRecent: boolean;
  /** Evicted. Holders must call `about()` again. */
  isEvicted: boolean;
}

/**
 * Notices that Redis forgot. It remembers what this instance saw of the logs of channels: a log that has lost an entry of which
 * somebody knows would give offsets a second time, and has to begin a new epoch.
 */
export class LossDetector {
  readonly #seen = new Map<string, LastSeen>();
  readonly #followed: () => number;

  /** @param followed how many channels are followed here */
  constructor(followed: () => number) {
    this.#followed = followed;
  }

  /** The record of a channel. It may be kept until it is evicted, so that it is looked up only once. */
  about(channel: string): LastSeen {
    let seen = this.#seen.get(channel);
    if (seen === undefined) {
      this.#makeRoom();
      seen = {
        channel,
        epoch: "",
        offset: 0,
        checkpoint: 0,
        unproven: undefined,
        written: 0,
        earlier: NONE,
        heardEpoch: "",
        heardOffset: 0,
        isRecent: false,
        isEvicted: false,
      };
      this.#seen.set(channel, seen);
    }
    return seen;
  }

  /** The entry that a read has to look for: the unproven one, or else the newest. */
  expectedByRead(channel: string): Expected {
    const seen = this.#seen.get(channel);
    return expectedOf(seen?.unproven ?? seen);
  }

  /** The same for a script that appends: with the checkpoint only while the entry is unproven, since looking for it costs. */
  expectedByAppend(channel: string): Expected {
    const seen = this.#seen.get(channel);
    if (seen === undefined || seen.unproven !== undefined) return expectedOf(seen?.unproven);
    return [seen.epoch, seen.offset, ""];
  }

  /** To be given to `proven` when a script has looked for it. */
  unproven(channel: string): SeenEntry | undefined {
    return this.#seen.get(channel)?.unproven;
  }

  get unprovenChannels(): string[] {
    return Array.from(this.#seen).flatMap(([channel, { unproven }]) => (unproven === undefined ? [] : [channel]));
  }

  /** A read, or the reply to a write, showed this entry. */
  saw(seen: LastSeen, epoch: string, offset: number, checkpoint: number): void {
    if (seen.epoch === epoch && seen.offset >= offset) return;
    seen.isRecent = seen.epoch !== "";
    seen.epoch = epoch;
    seen.offset = offset;
    seen.checkpoint = checkpoint;
  }

  /** This instance writes to the log. @param again it wrote the same before, and does not know what became of that */
  wrote(seen: LastSeen, checkpoint: number, again: boolean): void {
    seen.earlier = again ? [...seen.earlier, seen.written] : NONE;
    seen.written = checkpoint;
    seen.heardEpoch = "";
  }

  /** An entry was delivered. It may be one that this instance wrote. */
  heard(seen: LastSeen, epoch: string, offset: number, checkpoint: number): void {
    if (checkpoint === seen.written || seen.earlier.includes(checkpoint)) {
      seen.heardEpoch = epoch;
      seen.heardOffset = offset;
    }
    this.saw(seen, epoch, offset, checkpoint);
  }

  /** A connection was lost, and Redis may forget: it has to prove that it has what was seen until now. */
  connectionLost(): void {
    for (const seen of this.#seen.values()) {
      if (seen.epoch !== "") seen.unproven ??= { epoch: seen.epoch, offset: seen.offset, checkpoint: seen.checkpoint };
    }
  }

  /** Redis has the entry that was unproven, or has begun a new epoch. */
  proven(channel: string, entry: SeenEntry | undefined): void {
    if (entry === undefined) return;
    const seen = this.#seen.get(channel);
    if (seen !== undefined && seen.unproven === entry) seen.unproven = undefined;
  }

  /** Gives channels with new entries a second chance (the clock of operating systems): moving each with its messages would cost more. */
  #makeRoom(): void {
    if (this.#seen.size < MIN_CHANNELS || this.#seen.size < 2 * this.#followed()) return;
    for (const [channel, seen] of this.#seen) {
      this.#seen.delete(channel);
      if (!seen.isRecent) {
        seen.isEvicted = true;
        return;
      }
      seen.isRecent = false;
      this.#seen.set(channel, seen);
    }
  }
}

export function expectedOf(entry: SeenEntry | undefined): Expected {
  if (entry === undefined || entry.epoch === "") return ["", 0, ""];
  return [entry.epoch, entry.offset, entry.checkpoint === 0 && entry.offset > 0 ? "" : entry.checkpoint];
}
