import { Problem } from "../../errors.ts";
import type { Subscription } from "../../hub/subscription.ts";

const PROTOCOL_VERSION = "13";
const SUBPROTOCOL = "lockstep";
/** 16 bytes in base64. */
const KEY = /^[A-Za-z0-9+/]{22}==$/;

/**
 * Checks an opening handshake (RFC 6455 §4.2.1). Returns the headers that the 101 needs besides the usual ones.
 *
 * @throws Problem `upgrade-required`, `malformed-request`, `unknown-subprotocol`
 */
export function checkHandshake(headers: Headers): Record<string, string> {
  if (!lists(headers.get("upgrade"), "websocket") || !lists(headers.get("connection"), "upgrade")) {
    throw new Problem("upgrade-required", "This is a WebSocket endpoint.", { upgrade: "websocket", connection: "Upgrade" });
  }
  if (headers.get("sec-websocket-version")?.trim() !== PROTOCOL_VERSION) {
    const answer = { upgrade: "websocket", connection: "Upgrade", "sec-websocket-version": PROTOCOL_VERSION };
    throw new Problem("upgrade-required", `The server speaks version ${PROTOCOL_VERSION} of the WebSocket protocol.`, answer);
  }
  if (!KEY.test(headers.get("sec-websocket-key")?.trim() ?? "")) {
    throw new Problem("malformed-request", "Sec-WebSocket-Key is not 16 bytes in base64.");
  }
  const offered = headers.get("sec-websocket-protocol")?.trim() ?? "";
  if (offered === "") return {};
  // A token beside it is not a protocol, and is never part of the answer.
  if (!offered.split(",").some((protocol) => protocol.trim() === SUBPROTOCOL)) {
    throw new Problem("unknown-subprotocol", `The server speaks the subprotocol ${SUBPROTOCOL}, or none.`);
  }
  // By default Bun answers with the first one offered, whatever it is.
  return { "sec-websocket-protocol": SUBPROTOCOL };
}

/** Returns the headers of the 101 that say where the messages begin, and if that is where the client wanted to resume. */
export function positionHeaders({ position, resumed }: Subscription): Record<string, string> {
  if (position === null) return {};
  return { "lockstep-position": position, ...(resumed === null ? {} : { "lockstep-resumed": String(resumed) }) };
}

function lists(header: string | null, token: string): boolean {
  return header?.split(",").some((item) => item.trim().toLowerCase() === token) ?? false;
}
