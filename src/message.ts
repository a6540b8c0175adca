/**
 * A message: what one WebSocket frame carries (RFC 6455 §5.6). A string is a text frame, bytes are a binary frame; neither is
 * ever parsed, and a string holds no lone surrogate, so that it goes to UTF-8 and back unchanged.
 */
export type Message = string | Uint8Array;

/** Bytes of its payload, in UTF-8. */
export function byteLength(message: Message): number {
  return typeof message === "string" ? Buffer.byteLength(message) : message.byteLength;
}
