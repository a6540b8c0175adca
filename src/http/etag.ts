import { createHash } from "node:crypto";

/** The tag of a text (RFC 9110 §8.8.3): the same for the same text, whichever instance answers. */
export function etagOf(text: string): string {
  return `"${createHash("sha256").update(text).digest("base64url")}"`;
}

/** Whether who asks has it already: `If-None-Match` names it; whether it is weak makes no difference there (RFC 9110 §13.1.2). */
export function isKnown(headers: Headers, etag: string): boolean {
  const list = headers.get("if-none-match")?.split(",") ?? [];
  return list.some((item) => item.trim() === "*" || item.trim().replace(/^W\//, "") === etag);
}
