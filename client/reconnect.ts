import { closeCodes, type Reconnect } from "./close-codes.ts";

/** The end of a socket: a close code, the HTTP status of a refusal, or neither where no server answered. */
export interface SocketEnd {
  /** WebSocket close code (RFC 6455 §7.4); 1006 is a connection that was cut without one. */
  readonly code?: number | undefined;
  /** HTTP status of a refused upgrade. */
  readonly status?: number | undefined;
  /** Seconds from the refusal's `Retry-After`. */
  readonly retryAfterS?: number | undefined;
}

/** Lower bound of every wait, in milliseconds. */
const MIN_MS = 100;
const MAX_MS = 30_000;
/** Upper bound of the first wait; it doubles with every further attempt that fails. */
const FIRST_MS = { "at-once": 250, later: 1000 } as const;

/** Decides by the one table of close codes, and by the status of a refusal. */
export function reconnectAfter({ code, status }: SocketEnd): Reconnect {
  // A code that Lockstep does not send comes from the network or a proxy.
  if (code !== undefined) return closeCodes[code] ?? "later";
  if (status === undefined || status === 429 || status >= 500) return "later";
  return status === 401 ? "with-token" : "never";
}

/**
 * Computes a wait with full jitter, so that clients that were cut off together do not return together.
 *
 * @param failures attempts in a row that failed before
 * @param chance from 0 to 1
 * @returns milliseconds
 */
export function delayMs(reconnect: "at-once" | "later", failures: number, chance: number): number {
  const ceilingMs = Math.min(MAX_MS, FIRST_MS[reconnect] * 2 ** failures);
  return Math.round(MIN_MS + chance * (ceilingMs - MIN_MS));
}

/** The result of one attempt. */
export interface Outcome {
  /** Another attempt may succeed. */
  readonly passing: boolean;
  readonly retryAfterS?: number | undefined;
}

/**
 * Repeats an attempt with the same waits until it succeeds, fails for good, or the next one would come too late.
 *
 * @param untilMs latest start of an attempt, as `Date.now()`
 * @returns the last outcome
 */
export async function repeat<T extends Outcome>(attempt: () => Promise<T>, untilMs: number): Promise<T> {
  for (let failures = 0; ; failures += 1) {
    const outcome = await attempt();
    const waitMs = Math.max((outcome.retryAfterS ?? 0) * 1000, delayMs("later", failures, Math.random()));
    if (!outcome.passing || Date.now() + waitMs >= untilMs) return outcome;
    await new Promise((resolve) => setTimeout(resolve, waitMs));
  }
}
