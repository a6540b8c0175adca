/** How many messages came in each of the last seconds. */
export class Rate {
  readonly #counts: number[];
  /** The second that the last count is for. */
  #second: number;

  constructor(seconds: number, nowMs: number) {
    this.#counts = Array.from({ length: seconds }, () => 0);
    this.#second = Math.floor(nowMs / 1000);
  }

  count(nowMs: number): void {
    this.#moveTo(nowMs);
    this.#counts[this.#counts.length - 1] = (this.#counts.at(-1) ?? 0) + 1;
  }

  /** Oldest first; the last second is not over yet. */
  counts(nowMs: number): readonly number[] {
    this.#moveTo(nowMs);
    return this.#counts;
  }

  /** Messages a second, over the last five whole seconds. */
  perSecond(nowMs: number): number {
    const whole = this.counts(nowMs).slice(-6, -1);
    return whole.reduce((sum, count) => sum + count, 0) / whole.length;
  }

  #moveTo(nowMs: number): void {
    const second = Math.floor(nowMs / 1000);
    // A clock that was set back begins anew at its second; the counts stay.
    const passed = Math.min(Math.max(0, second - this.#second), this.#counts.length);
    this.#counts.splice(0, passed);
    for (let index = 0; index < passed; index += 1) this.#counts.push(0);
    this.#second = second;
  }
}
