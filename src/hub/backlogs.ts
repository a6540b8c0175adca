import type { LocalChannel } from "./local-channel.ts";

const CHECK_MS = 50;

/** Looks at what waits for the clients of channels: whenever so much was delivered on one, and every 50 ms. */
export class Backlogs {
  readonly #checkBytes: number;
  readonly #unchecked = new Set<LocalChannel>();
  readonly #timer = setInterval(() => this.#checkAll(), CHECK_MS);

  constructor(checkBytes: number) {
    this.#checkBytes = checkBytes;
  }

  /** @param length of a message, in UTF-16 units of text or bytes of binary */
  delivered(local: LocalChannel, length: number): void {
    local.unchecked += length;
    if (local.unchecked >= this.#checkBytes) this.#check(local);
    else this.#unchecked.add(local);
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #checkAll(): void {
    for (const local of this.#unchecked) this.#check(local);
  }

  #check(local: LocalChannel): void {
    local.unchecked = 0;
    this.#unchecked.delete(local);
    for (const { subscriber } of local.seats) subscriber?.checkBacklog();
  }
}
