/**
 * A message: the payload of one WebSocket frame (RFC 6455 §5.6). A string is a text frame, bytes are a binary frame. Neither is ever
 * parsed. A string holds no lone surrogate, so it survives the way to UTF-8 and back.
 */
export type Message = string | Uint8Array;

/** The bytes of a message, in UTF-8. */
export function byteLength(message: Message): number {
  return typeof message === "string" ? Buffer.byteLength(message) : message.byteLength;
}
