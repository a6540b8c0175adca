import type { Message } from "../../message.ts";

/*
 * The text/event-stream format: https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
 */

/** A comment: it keeps proxies from closing a quiet stream. */
export const HEARTBEAT = ":\n\n";

/**
 * How a stream begins: when to come back after an end, and where it is, for a client that gets no message before that.
 *
 * @param retryMs milliseconds
 */
export function formatOpening(retryMs: number, position: string | null): string {
  return `retry: ${retryMs}\n${position === null ? "" : `id: ${position}\n`}\n`;
}

/** Where a stream is that has begun before it could know. */
export function formatPlace(position: string): string {
  return `id: ${position}\n\n`;
}

/** A message. The lines of a text end with LF, whatever ended them before; binary is an event of its own, in base64. */
export function formatMessage(message: Message, position: string | null): string {
  const id = position === null ? "" : `id: ${position}\n`;
  if (typeof message !== "string") return `${id}event: binary\ndata: ${Buffer.from(message).toString("base64")}\n\n`;
  return `${id}data: ${message.split(/\r\n|\r|\n/).join("\ndata: ")}\n\n`;
}

/** Messages may have been missed; what follows begins at the position. */
export function formatReset(position: string | null): string {
  return `${position === null ? "" : `id: ${position}\n`}event: reset\ndata: ${JSON.stringify({ position })}\n\n`;
}
