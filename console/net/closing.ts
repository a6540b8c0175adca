import type { Word } from "../text/english.ts";

/** Whether a client comes back after a close, and when. */
export type Return = "at-once" | "later" | "with-token" | "never";

export interface Closing {
  readonly word: Word;
  readonly comeBack: Return;
}

/** What the server closes by, as the contract's table of close codes has it; 1005 and 1006 are the browser's own (RFC 6455 §7.1.5). */
const closings: Readonly<Record<number, Closing>> = {
  1001: { word: "closed.draining", comeBack: "at-once" },
  1002: { word: "closed.brokenFrame", comeBack: "never" },
  1003: { word: "closed.binary", comeBack: "never" },
  1005: { word: "closed.lost", comeBack: "at-once" },
  1006: { word: "closed.lost", comeBack: "at-once" },
  1007: { word: "closed.text", comeBack: "never" },
  1008: { word: "closed.tooFast", comeBack: "later" },
  1009: { word: "closed.tooLarge", comeBack: "never" },
  1011: { word: "closed.fault", comeBack: "later" },
  1013: { word: "closed.gap", comeBack: "at-once" },
  3000: { word: "closed.expired", comeBack: "with-token" },
  3003: { word: "closed.forbidden", comeBack: "never" },
};

/** Codes that say of what was sent last that it was not taken. */
const UNSENT: ReadonlySet<number> = new Set([1003, 1007, 1008, 1009, 3003]);

export function closingOf(code: number): Closing {
  return closings[code] ?? { word: "closed.other", comeBack: "later" };
}

export function refusesSent(code: number): boolean {
  return UNSENT.has(code);
}

const FIRST_MS = 250;
const LATER_MS = 2000;
const MOST_MS = 15_000;

/**
 * How long to wait before the next try: twice as long each time, and never the same for two clients, so that many do not come at once.
 *
 * @param failures how many tries in a row came to nothing
 * @param chance from 0 to 1
 */
export function delayMs(comeBack: "at-once" | "later", failures: number, chance: number): number {
  const base = Math.min(MOST_MS, (comeBack === "later" ? LATER_MS : FIRST_MS) * 2 ** Math.min(failures, 16));
  return Math.round(base * (0.5 + chance / 2));
}
