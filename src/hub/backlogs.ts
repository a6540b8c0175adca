import type { LocalChannel } from "./local-channel.ts";

const CHECK_MS = 250;
const MIN_CHECK_BYTES = 16_384;

export interface BacklogLimits {
  /** Bytes that may wait for one client. */
  readonly slowConsumerBytes: number;
}

/** Looks at what waits for the clients of channels: whenever a quarter of what may wait was delivered on one, and every 250 ms. */
export class Backlogs {
  readonly #limits: BacklogLimits;
  readonly #unchecked = new Set<LocalChannel>();
  /** While there is something to look at. */
  #timer: ReturnType<typeof setInterval> | undefined;

  /** @param limits may change at any time */
  constructor(limits: BacklogLimits) {
    this.#limits = limits;
  }

  /** @param length of a message, in UTF-16 units of text or bytes of binary */
  delivered(local: LocalChannel, length: number): void {
    const known = local.unchecked > 0;
    local.unchecked += length;
    if (local.unchecked >= Math.max(MIN_CHECK_BYTES, this.#limits.slowConsumerBytes / 4)) this.#check(local);
    else if (!known) {
      this.#unchecked.add(local);
      this.#timer ??= setInterval(() => this.#checkAll(), CHECK_MS);
    }
  }

  close(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #checkAll(): void {
    if (this.#unchecked.size === 0) this.close();
    for (const local of this.#unchecked) this.#check(local);
  }

  #check(local: LocalChannel): void {
    local.unchecked = 0;
    this.#unchecked.delete(local);
    local.seats.each(({ subscriber }) => subscriber?.checkBacklog());
  }
}
