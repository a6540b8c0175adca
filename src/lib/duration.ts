const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** The longest time that a timer can count; a longer one would fire at once. */
export const MAX_TIMER_MS = 2 ** 31 - 1;

/** What a duration looks like. */
export const DURATION = "^[0-9]{1,9}(ms|s|m|h|d)$";

/** Milliseconds of a text that looks like a duration. */
export function durationMs(value: string): number {
  const unit = value.replace(/^[0-9]+/, "");
  return Number.parseInt(value, 10) * (unitMs[unit] ?? 0);
}

/** The same for a timer: 24 days stand for all that is longer. */
export function parseDuration(value: string): number {
  return Math.min(MAX_TIMER_MS, durationMs(value));
}
