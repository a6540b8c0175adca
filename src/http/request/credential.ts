import type { Credential } from "../../access/policy.ts";
import { targetQuery } from "./target.ts";

/** Browsers cannot set headers on a WebSocket, but they can offer subprotocols. */
const TOKEN_SUBPROTOCOL = "lockstep.token.";

/**
 * Returns the credential of a request: `Authorization: Bearer` (RFC 6750 §2.1), else `?token=`, else a subprotocol. Never log it.
 */
export function credentialOf({ headers, url }: Request): Credential | undefined {
  const [scheme = "", ...bearer] = headers.get("authorization")?.trim().split(/ +/) ?? [];
  if (scheme.toLowerCase() === "bearer") return { token: bearer.join(" "), mayBeKey: true };
  const token = targetQuery(url).get("token") ?? "";
  if (token !== "") return { token, mayBeKey: false };
  const offered = headers.get("sec-websocket-protocol")?.split(",") ?? [];
  const pair = offered.map((protocol) => protocol.trim()).find((protocol) => protocol.startsWith(TOKEN_SUBPROTOCOL));
  return pair === undefined ? undefined : { token: pair.slice(TOKEN_SUBPROTOCOL.length), mayBeKey: false };
}
