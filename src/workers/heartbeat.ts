/** Turns without an answer after which a process is taken for hung, and for one that has yet to come up. */
const MAX_MISSES = 10;
const MAX_MISSES_AT_START = 60;

/**
 * Whether a process hangs. Turns of the watching process are counted rather than time, and only those that came in time: where the
 * machine, or the watching process, stood still, nobody can be blamed for not having answered.
 */
export class Heartbeat {
  readonly #ask: () => Promise<boolean>;
  #isUp = false;
  #unanswered = false;
  #misses = 0;

  /** @param ask resolves with true when the process answers; with false where it never will */
  constructor(ask: () => Promise<boolean>) {
    this.#ask = ask;
  }

  /** The process has come up: it is asked from now on. */
  up(): void {
    this.#isUp = true;
    this.#misses = 0;
  }

  /** Is called once a second, and asks if the last question has been answered. Returns whether the process must be hung. */
  turn(onTime: boolean): boolean {
    if (this.#unanswered || !this.#isUp) this.#misses = onTime ? this.#misses + 1 : 0;
    else void this.#beat();
    return this.#misses >= (this.#isUp ? MAX_MISSES : MAX_MISSES_AT_START);
  }

  async #beat(): Promise<void> {
    this.#unanswered = true;
    if (!(await this.#ask())) return;
    this.#unanswered = false;
    this.#misses = 0;
  }
}
