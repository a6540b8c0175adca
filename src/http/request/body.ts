import { Problem } from "../../errors.ts";
import { readAtMost } from "../../lib/bounds.ts";
import { createHash } from "node:crypto";

/**
 * Reads a whole body, and stops as soon as it is too large: a client may lie about its length. Bun's idle time-out counts from the
 * beginning of the request, so it also cuts a client that sends a byte now and then.
 *
 * @throws Problem `too-large`; `malformed-request` if the body does not arrive
 */
export async function readBody(request: Request, maxBytes: number): Promise<Buffer> {
  const tooLarge = new Problem("too-large", `A body has at most ${maxBytes} bytes.`, { connection: "close" });
  if (Number(request.headers.get("content-length")) > maxBytes) throw tooLarge;
  const body = await readAtMost(request.body, maxBytes).catch(() => {
    throw new Problem("malformed-request", "The body did not arrive whole.", { connection: "close" });
  });
  if (body === undefined) throw tooLarge;
  return body;
}

/** Returns the tag of a text (RFC 9110 §8.8.3), the same on every instance. */
export function etagOf(text: string): string {
  return `"${createHash("sha256").update(text).digest("base64url")}"`;
}

/** Returns true if `If-None-Match` names a tag. The comparison is weak (RFC 9110 §13.1.2). */
export function isKnown(headers: Headers, etag: string): boolean {
  const list = headers.get("if-none-match")?.split(",") ?? [];
  return list.some((item) => item.trim() === "*" || item.trim().replace(/^W\//, "") === etag);
}
