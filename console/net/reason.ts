import { closingOf, type Return } from "./closing.ts";
import type { Answer } from "./server.ts";
import { isToken } from "./token.ts";
import type { Word } from "../text/english.ts";

/** Why there is no connection, and what may come of it. */
export interface Reason {
  readonly word: Word;
  readonly values?: readonly string[];
  /** What the server said of it, in its own words. */
  readonly detail?: string;
  readonly code?: number;
  readonly comeBack: Return;
}

export const unreachable: Reason = { word: "refused.unreachable", comeBack: "at-once" };

export function reasonOfClose(code: number, said: string): Reason {
  const { word, comeBack } = closingOf(code);
  return { word, comeBack, ...(said === "" ? {} : { detail: said }), code };
}

/** What a refusal means. A WebSocket does not tell a page why it was refused, so the same is asked for without an upgrade. */
export function reasonOfRefusal({ status, problem, detail }: Answer, token: string): Reason {
  // Of what the page sends only a token can be that long (RFC 6585 §5).
  if (status === 431 && token !== "") return { word: "refused.longToken", comeBack: "with-token" };
  switch (problem) {
    case "unauthorized":
    case "token-expired":
      if (token === "") return { word: "refused.noToken", comeBack: "with-token" };
      return { word: isToken(token) ? "refused.badToken" : "refused.notToken", comeBack: "with-token" };
    case "forbidden":
      return { word: "refused.forbidden", detail, comeBack: "with-token" };
    case "foreign-origin":
      return { word: "refused.origin", comeBack: "never" };
    case "no-channel":
      return { word: "refused.noChannel", comeBack: "never" };
    case "malformed-path":
      return { word: "refused.path", detail, comeBack: "never" };
    // What it was asked for does not fit: a configuration was read anew.
    case "malformed-request":
      return { word: "refused.changed", detail, comeBack: "later" };
    case "bus-away":
      return { word: "refused.bus", comeBack: "later" };
    case "draining":
      return { word: "refused.draining", comeBack: "at-once" };
    case "too-many-connections":
    case "too-many-connections-of-address":
      return { word: "refused.many", comeBack: "later" };
    case "upgrade-required":
      // By it a plain request would be let in; an API key is good for those, and for no WebSocket.
      if (token !== "" && !isToken(token)) return { word: "refused.notToken", comeBack: "with-token" };
      return { word: "refused.silent", comeBack: "later" };
    default:
      return { word: "refused.other", values: [String(status)], detail, comeBack: status >= 500 ? "later" : "never" };
  }
}
