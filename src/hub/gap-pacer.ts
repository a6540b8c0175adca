import type { Subscription } from "./subscription.ts";

/** Portions that come to 450 subscriptions a second: clients with a gap must not all come back at once. */
const PORTION_MS = 20;
const PORTION = 9;

/** Ends subscriptions that have a gap, a few at a time. */
export class GapPacer {
  readonly #waiting = new Set<Subscription>();
  #timer: ReturnType<typeof setInterval> | undefined;

  add(subscription: Subscription): void {
    this.#waiting.add(subscription);
    this.#timer ??= setInterval(() => this.#endSome(), PORTION_MS);
  }

  delete(subscription: Subscription): void {
    this.#waiting.delete(subscription);
  }

  close(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #endSome(): void {
    for (const subscription of this.#waiting.values().take(PORTION).toArray()) {
      this.#waiting.delete(subscription);
      subscription.subscriber?.ended(subscription, "gap");
    }
    if (this.#waiting.size === 0) this.close();
  }
}
