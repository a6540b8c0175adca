import type { Message } from "../message.ts";

/** All but the tab: they end lines, or tell a terminal what to do. */
const CONTROL = /(?!\t)\p{Cc}/u;
/** Those that JSON leaves as they are. */
const UNESCAPED_CONTROL = /[\u007f-\u009f]/g;
/** How a line begins that holds a message in other words. No other line begins so. */
const WRAPPED = '{"lockstep:';

/** A message as one line without its end: text as it is, and what cannot be a line (or could be taken for one of these) as JSON. */
export function plainLine(message: Message): string {
  if (typeof message !== "string") return json({ "lockstep:base64": base64(message) });
  return CONTROL.test(message) || message.startsWith(WRAPPED) ? json({ "lockstep:text": message }) : message;
}

/** A message with its position, in the form of `GET /history`. */
export function jsonLine(message: Message, id: string | null): string {
  return json(typeof message === "string" ? { id, text: message } : { id, base64: base64(message) });
}

/** JSON in one line that a terminal does not follow. */
export function json(value: object): string {
  return JSON.stringify(value).replaceAll(UNESCAPED_CONTROL, (character) => `\\u00${character.charCodeAt(0).toString(16)}`);
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("base64");
}
