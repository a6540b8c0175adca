import type { Message } from "../message.ts";

/** Control characters except the tab: they end lines, or command a terminal. */
const CONTROL = /(?!\t)\p{Cc}/u;
/** Control characters that JSON does not escape. */
const UNESCAPED_CONTROL = /[\u007f-\u009f]/g;
/** Beginning of a line that holds a message as JSON. No other line begins so. */
const WRAPPED = '{"lockstep:';

/** Formats a message as one line without its end: as it is, or as JSON if it cannot be a line or looks like such JSON. */
export function plainLine(message: Message): string {
  if (typeof message !== "string") return json({ "lockstep:base64": base64(message) });
  return CONTROL.test(message) || message.startsWith(WRAPPED) ? json({ "lockstep:text": message }) : message;
}

/** Formats a message with its position, as in `GET /history`. */
export function jsonLine(message: Message, id: string | null): string {
  return json(typeof message === "string" ? { id, text: message } : { id, base64: base64(message) });
}

/** Formats JSON in one line without commands for a terminal. */
export function json(value: object): string {
  return JSON.stringify(value).replaceAll(UNESCAPED_CONTROL, (character) => `\\u00${character.charCodeAt(0).toString(16)}`);
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("base64");
}
