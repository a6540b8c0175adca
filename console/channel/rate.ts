/** Counts messages in each of the last seconds. */
export class Rate {
  readonly #counts: number[];
  /** The second of the last count. */
  #second: number;

  constructor(seconds: number, nowMs: number) {
    this.#counts = Array.from({ length: seconds }, () => 0);
    this.#second = Math.floor(nowMs / 1000);
  }

  count(nowMs: number): void {
    this.#moveTo(nowMs);
    this.#counts[this.#counts.length - 1] = (this.#counts.at(-1) ?? 0) + 1;
  }

  /** Counts by second, oldest first; the last second is not over yet. */
  counts(nowMs: number): readonly number[] {
    this.#moveTo(nowMs);
    return this.#counts;
  }

  /** Messages per second over the last five whole seconds. */
  perSecond(nowMs: number): number {
    const whole = this.counts(nowMs).slice(-6, -1);
    return whole.reduce((sum, count) => sum + count, 0) / whole.length;
  }

  #moveTo(nowMs: number): void {
    const second = Math.floor(nowMs / 1000);
    // After the clock was set back, counting goes on from its second; the counts stay.
    const passed = Math.min(Math.max(0, second - this.#second), this.#counts.length);
    this.#counts.splice(0, passed);
    for (let index = 0; index < passed; index += 1) this.#counts.push(0);
    this.#second = second;
  }
}
