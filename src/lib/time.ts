const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** The longest delay of a timer. With a longer one it fires at once. */
export const MAX_TIMER_MS = 2 ** 31 - 1;

/** The pattern of a duration. */
export const DURATION = "^[0-9]{1,9}(ms|s|m|h|d)$";

/** The milliseconds of a text that matches {@link DURATION}. */
export function durationMs(value: string): number {
  const unit = value.replace(/^[0-9]+/, "");
  return Number.parseInt(value, 10) * (unitMs[unit] ?? 0);
}

/** The same for a timer, with at most {@link MAX_TIMER_MS} (24 days). */
export function parseDuration(value: string): number {
  return Math.min(MAX_TIMER_MS, durationMs(value));
}

/** Resolves with true once a promise resolves, or with false after `ms` milliseconds. The promise must never reject. */
export async function within(ms: number, promise: Promise<void>): Promise<boolean> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), Math.max(0, ms));
  });
  const inTime = await Promise.race([promise.then(() => true), late]);
  clearTimeout(timer);
  return inTime;
}

/** Waits for one thing that others make true. A wait ends by a wake-up or at its deadline, and leaves nothing behind. */
export class WakeUps {
  #waiting: Set<() => void> | undefined;

  /** Resolves to true at the next `wake`, in its turn of the event loop; to false at the deadline, in milliseconds since 1970. */
  wait(deadlineMs: number): Promise<boolean> {
    return new Promise((resolve) => {
      const waiting = (this.#waiting ??= new Set());
      const goOn = (): void => {
        clearTimeout(timer);
        resolve(true);
      };
      const timer = setTimeout(
        () => {
          waiting.delete(goOn);
          resolve(false);
        },
        Math.max(0, deadlineMs - Date.now()),
      );
      waiting.add(goOn);
    });
  }

  wake(): void {
    const waiting = this.#waiting;
    if (waiting === undefined) return;
    this.#waiting = undefined;
    for (const goOn of waiting) goOn();
  }
}
