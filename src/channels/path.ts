import { Problem } from "../errors.ts";

const MAX_VALUE_BYTES = 255;
const CONTROL = /\p{Cc}/u;

/**
 * Splits the raw path of a channel (what follows `/ws/`, without query) into its decoded segments.
 * Each segment is percent-decoded once, so `%2F` stays inside its value (RFC 3986 §2.4).
 *
 * @throws Problem `malformed-path`
 */
export function parsePath(raw: string): string[] {
  return raw.split("/").map(parseSegment);
}

/** The fault of a decoded segment, if it has one. */
export function segmentFault(value: string): string | undefined {
  if (value === "") return "A path has no empty segment and no trailing slash.";
  if (value === "." || value === "..") return "A segment may not be . or ..";
  if (CONTROL.test(value)) return "A segment may not hold control characters.";
  return Buffer.byteLength(value) > MAX_VALUE_BYTES ? `A segment holds at most ${MAX_VALUE_BYTES} bytes of UTF-8.` : undefined;
}

function parseSegment(raw: string): string {
  const value = decodeSegment(raw);
  const fault = segmentFault(value);
  if (fault !== undefined) throw new Problem("malformed-path", fault);
  return value;
}

function decodeSegment(raw: string): string {
  try {
    return decodeURIComponent(raw);
  } catch {
    throw new Problem("malformed-path", "A segment holds a bad percent-escape or bad UTF-8.");
  }
}
