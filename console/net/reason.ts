import { isToken, type BrowserEnd } from "../../client/index.ts";
import type { TextKey } from "../text/english.ts";

/** Why there is no connection, in words for people. */
export interface Reason {
  readonly word: TextKey;
  readonly values?: readonly string[];
  /** The server's own words. */
  readonly detail?: string | undefined;
  /** Close code. */
  readonly code?: number;
  /** Another token may help. */
  readonly asksToken?: boolean;
  /** The last message was the cause, and did not arrive. */
  readonly refusesSent?: boolean;
}

/** 1005 and 1006 are the browser's own (RFC 6455 §7.1.5). */
const closings: Readonly<Record<number, Omit<Reason, "code">>> = {
  1001: { word: "closed.draining" },
  1002: { word: "closed.brokenFrame" },
  1003: { word: "closed.binary", refusesSent: true },
  1005: { word: "closed.lost" },
  1006: { word: "closed.lost" },
  1007: { word: "closed.text", refusesSent: true },
  1008: { word: "closed.tooFast", refusesSent: true },
  1009: { word: "closed.tooLarge", refusesSent: true },
  1011: { word: "closed.fault" },
  1013: { word: "closed.gap" },
  3000: { word: "closed.expired", asksToken: true },
  3003: { word: "closed.forbidden", refusesSent: true },
};

/** @param end undefined after the reader has left the channel */
export function reasonOf(end: BrowserEnd | undefined, token: string): Reason {
  if (end === undefined) return { word: "closed.here" };
  const { code, detail } = end;
  if (code === undefined) return reasonOfRefusal(end, token);
  return { ...(closings[code] ?? { word: "closed.other" }), detail, code };
}

/** Refusals by the name of their problem. */
const refusals: ReadonlyMap<string | undefined, Reason> = new Map([
  ["foreign-origin", { word: "refused.origin" }],
  ["no-channel", { word: "refused.noChannel" }],
  ["bus-away", { word: "refused.bus" }],
  ["draining", { word: "refused.draining" }],
  ["too-many-connections", { word: "refused.many" }],
  ["too-many-connections-of-address", { word: "refused.many" }],
  ["upgrade-required", { word: "refused.silent" }],
]);
/** Refusals that the server's own words explain further. */
const explained: ReadonlyMap<string | undefined, Reason> = new Map([
  ["forbidden", { word: "refused.forbidden", asksToken: true }],
  ["malformed-path", { word: "refused.path" }],
  ["malformed-request", { word: "refused.changed" }],
]);

function reasonOfRefusal({ status, problem, detail }: BrowserEnd, token: string): Reason {
  // Only a token can make a request of the page that long (RFC 6585 §5).
  if (status === 431 && token !== "") return { word: "refused.longToken", asksToken: true };
  if (status === 401) {
    if (token === "") return { word: "refused.noToken", asksToken: true };
    return { word: isToken(token) ? "refused.badToken" : "refused.notToken", asksToken: true };
  }
  const reason = refusals.get(problem);
  if (reason !== undefined) return reason;
  const vague = explained.get(problem);
  if (vague !== undefined) return { ...vague, detail };
  return status === undefined ? { word: "refused.unreachable" } : { word: "refused.other", values: [String(status)], detail };
}
