/** A token bucket (https://en.wikipedia.org/wiki/Token_bucket): `rate` a second on average, twice that in a burst. */
export class TokenBucket {
  readonly #rate: number;
  #tokens: number;
  #filledMs = Date.now();

  constructor(rate: number) {
    this.#rate = rate;
    this.#tokens = rate * 2;
  }

  /** Takes a token; false if none is there. */
  take(): boolean {
    const nowMs = Date.now();
    if (nowMs > this.#filledMs) {
      this.#tokens = Math.min(this.#rate * 2, this.#tokens + ((nowMs - this.#filledMs) * this.#rate) / 1000);
      this.#filledMs = nowMs;
    } else if (nowMs < this.#filledMs) {
      this.#filledMs = nowMs; // the clock was set back
    }
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }
}
