/** The ticks without an answer after which a process counts as hung, once it is up and while it starts. */
const MAX_MISSES = 10;
const MAX_MISSES_AT_START = 60;

/**
 * Detects a process that hangs. It counts ticks of the watching process instead of time, and only ticks that came on time: after a
 * stall of the machine or of the watching process, a missing answer proves nothing.
 */
export class Heartbeat {
  readonly #ask: () => Promise<boolean>;
  #isUp = false;
  #unanswered = false;
  #misses = 0;

  /** @param ask resolves with true once the process answers, with false if it never will */
  constructor(ask: () => Promise<boolean>) {
    this.#ask = ask;
  }

  /** Starts asking: the process is up. */
  up(): void {
    this.#isUp = true;
    this.#misses = 0;
  }

  /**
   * Counts a missing answer, or asks again after an answer. Must be called once a second.
   *
   * @param onTime false after a stall of the watching process
   * @returns true if the process hangs
   */
  tick(onTime: boolean): boolean {
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
