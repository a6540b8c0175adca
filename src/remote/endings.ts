import { closings, type CloseCode } from "../errors.ts";
import { describeRefusal } from "./answer.ts";
import type { ChannelUrl } from "./channel-url.ts";
import type { RemoteCredential } from "./credential.ts";
import type { RemoteEnd } from "./socket.ts";

const meanings: Readonly<Record<CloseCode, string>> = {
  1001: "the server is stopping",
  1002: "the server found a broken frame",
  1003: "the channel takes no binary messages",
  1007: "the channel cannot take this text",
  1008: "too many messages were sent at once",
  1009: "a message was too large",
  1011: "the server failed",
  1013: "this reads too slowly, or the server could not deliver without a gap",
  3000: "the token has expired; set a new one in LOCKSTEP_TOKEN",
  3003: "disconnected by the operator, or not allowed any more",
};

/** Stands for a missing close frame (RFC 6455 §7.1.5). */
const CUT_OFF = 1006;

/** Describes in one line why a connection ended. */
export function describeEnd(end: RemoteEnd, url: ChannelUrl, credential: RemoteCredential): string {
  if (end.how === "closed") return `the connection ended (${end.code}: ${meaningOf(end.code)})`;
  if (end.how === "refused") return describeRefusal(end.refusal, url, credential);
  if (end.how === "unreachable") return `cannot connect to ${url.server} (${end.reason})`;
  return `${url.server} does not speak as a WebSocket server does (${end.reason})`;
}

function meaningOf(code: number): string {
  if (code === CUT_OFF) return "cut off";
  return isOurs(code) ? meanings[code] : "closed by a proxy before the server";
}

function isOurs(code: number): code is CloseCode {
  return Object.hasOwn(closings, code);
}
