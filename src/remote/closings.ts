/** What a close code means to a subscriber, and whether it comes back (README, "Over the wire"). */
export interface Closing {
  readonly meaning: string;
  readonly comeBack: "at-once" | "later" | "never";
}

const table: Readonly<Record<number, Closing>> = {
  1001: { meaning: "the server is stopping", comeBack: "at-once" },
  1002: { meaning: "the server found a broken frame", comeBack: "never" },
  1003: { meaning: "the server takes no binary here", comeBack: "never" },
  1006: { meaning: "cut off", comeBack: "later" },
  1007: { meaning: "the server found a bad text", comeBack: "never" },
  1008: { meaning: "the server counted too many messages", comeBack: "later" },
  1009: { meaning: "the server found a message too large", comeBack: "never" },
  1011: { meaning: "the server failed", comeBack: "later" },
  1013: { meaning: "this reads too slowly, or the server could not deliver without a gap", comeBack: "at-once" },
  3000: { meaning: "the token has expired; set a new one in LOCKSTEP_TOKEN", comeBack: "never" },
  3003: { meaning: "disconnected by the operator, or not allowed any more", comeBack: "never" },
};

/** Codes that are not Lockstep's come from what stands before it. */
export function closingOf(code: number): Closing {
  return table[code] ?? { meaning: "closed by what stands before the server", comeBack: "later" };
}
