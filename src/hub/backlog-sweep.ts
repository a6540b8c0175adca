import type { Channel } from "./channel.ts";

const SWEEP_MS = 250;
const MIN_SWEEP_LENGTH = 16_384;

/** They may change at any time. */
export interface BacklogLimits {
  /** Bytes that may wait for one client. */
  readonly slowConsumerBytes: number;
}

/**
 * Looks for clients that read too slowly: on each channel whenever a quarter of what may wait was delivered, and every 250 ms. Bun's
 * own limit drops messages in silence.
 */
export class BacklogSweep {
  readonly #limits: BacklogLimits;
  readonly #unchecked = new Set<Channel>();
  /** Runs while there is something to look at. */
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(limits: BacklogLimits) {
    this.#limits = limits;
  }

  /** @param length delivered since the channel's last check, in UTF-16 units of text and bytes of binary */
  delivered(channel: Channel, length: number, isFirst: boolean): void {
    if (length >= Math.max(MIN_SWEEP_LENGTH, this.#limits.slowConsumerBytes / 4)) this.#check(channel);
    else if (isFirst) {
      this.#unchecked.add(channel);
      this.#timer ??= setInterval(() => this.#sweep(), SWEEP_MS);
    }
  }

  close(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #sweep(): void {
    if (this.#unchecked.size === 0) this.close();
    for (const channel of this.#unchecked) this.#check(channel);
  }

  #check(channel: Channel): void {
    this.#unchecked.delete(channel);
    channel.checkBacklogs();
  }
}
