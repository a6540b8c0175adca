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
