import { createHash } from "node:crypto";

/** Returns the tag of a text (RFC 9110 §8.8.3), the same on every instance. */
export function etagOf(text: string): string {
  return `"${createHash("sha256").update(text).digest("base64url")}"`;
}

/** Returns true if `If-None-Match` names a tag. The comparison is weak (RFC 9110 §13.1.2). */
export function isKnown(headers: Headers, etag: string): boolean {
  const list = headers.get("if-none-match")?.split(",") ?? [];
  return list.some((item) => item.trim() === "*" || item.trim().replace(/^W\//, "") === etag);
}
