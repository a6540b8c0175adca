import { Problem } from "../errors.ts";

const PROTOCOL_VERSION = "13";
const SUBPROTOCOL = "lockstep";
/** 16 bytes in base64. */
const KEY = /^[A-Za-z0-9+/]{22}==$/;

/**
 * Checks an opening handshake (RFC 6455 §4.2.1) and returns the headers that the 101 has to carry besides the usual ones.
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
  // A token beside it is no protocol, and is never answered with.
  if (!offered.split(",").some((protocol) => protocol.trim() === SUBPROTOCOL)) {
    throw new Problem("unknown-subprotocol", `The server speaks the subprotocol ${SUBPROTOCOL}, or none.`);
  }
  // Left alone, Bun would answer with the first one offered, whatever it is.
  return { "sec-websocket-protocol": SUBPROTOCOL };
}

function lists(header: string | null, token: string): boolean {
  return header?.split(",").some((item) => item.trim().toLowerCase() === token) ?? false;
}
