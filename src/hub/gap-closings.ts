import type { Subscriber } from "./subscriber.ts";

/** Clients with a gap are closed in small portions, at most 500 a second, so that they do not all come back at once. */
const PORTION_MS = 20;
const PORTION = 9;

/** Clients that have a gap and will be closed once they can come back. */
export class GapClosings {
  readonly #waiting = new Set<Subscriber>();
  #timer: ReturnType<typeof setInterval> | undefined;

  add(subscriber: Subscriber): void {
    this.#waiting.add(subscriber);
  }

  delete(subscriber: Subscriber): void {
    this.#waiting.delete(subscriber);
  }

  start(): void {
    if (this.#waiting.size > 0) this.#timer ??= setInterval(() => this.#closeSome(), PORTION_MS);
  }

  pause(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #closeSome(): void {
    let count = 0;
    for (const subscriber of this.#waiting) {
      if ((count += 1) > PORTION) return;
      this.#waiting.delete(subscriber);
      subscriber.retire("gap");
    }
    this.pause();
  }
}
