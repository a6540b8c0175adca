import { closings, type CloseCode } from "../errors.ts";

/** What a close code means to a subscriber, and whether it comes back. */
export interface Closing {
  readonly meaning: string;
  readonly comeBack: "at-once" | "later" | "never";
}

const meanings: Readonly<Record<CloseCode, string>> = {
  1001: "the server is stopping",
  1002: "the server found a broken frame",
  1003: "the server takes no binary here",
  1007: "the server found a bad text",
  1008: "the server counted too many messages",
  1009: "the server found a message too large",
  1011: "the server failed",
  1013: "this reads too slowly, or the server could not deliver without a gap",
  3000: "the token has expired; set a new one in LOCKSTEP_TOKEN",
  3003: "disconnected by the operator, or not allowed any more",
};

/** A process cannot be given another token. */
const returns = { "yes, at once": "at-once", "yes, later": "later", "with another token": "never", no: "never" } as const;

/** There was no close frame (RFC 6455 §7.1.5). */
const CUT_OFF = 1006;

/** Codes that are not Lockstep's come from what stands before it. */
export function closingOf(code: number): Closing {
  if (code === CUT_OFF) return { meaning: "cut off", comeBack: "later" };
  if (!isOurs(code)) return { meaning: "closed by what stands before the server", comeBack: "later" };
  return { meaning: meanings[code], comeBack: returns[closings[code].reconnect] };
}

function isOurs(code: number): code is CloseCode {
  return Object.hasOwn(closings, code);
}
