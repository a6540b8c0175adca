const FIRST_MS = 500;
const MAX_MS = 30_000;

/** How long to wait before each attempt: longer each time, and never as long as others, who were cut off in the same moment. */
export class BackOff {
  #attempts = 0;

  /** What was tried has worked. */
  reset(): void {
    this.#attempts = 0;
  }

  /** Milliseconds before the next attempt. @param atOnce whether the first may come without a wait */
  next(atOnce: boolean): number {
    const attempt = (this.#attempts += 1);
    if (atOnce && attempt === 1) return 0;
    const longest = Math.min(MAX_MS, FIRST_MS * 2 ** Math.min(attempt - 1, 10));
    return longest / 2 + Math.random() * (longest / 2);
  }
}
