/** Any URL of a channel that a person may paste, such as `ws://host/ws/rooms/lobby?recent=5`. */
const ADDRESS = /^(?:(?:wss?|https?):\/\/[^/]*)?\/?(?:ws|sse|publish|history|presence)\/([^?#]*)/i;
const HAS_HOST = /^(?:wss?|https?):\/\//i;

/**
 * Reads a typed path or a pasted URL. An escape keeps its meaning, so `a%2Fb` is one value with a "/" in it; any other "%" is a "%".
 *
 * @returns the percent-encoded path; undefined for a URL of something else, a lone surrogate, and `.` and `..`, which a browser removes
 *   before it sends a request
 */
export function parseChannelPath(typed: string): string | undefined {
  const text = typed.trim();
  const [, addressed] = ADDRESS.exec(text) ?? [];
  if (addressed === undefined && HAS_HOST.test(text)) return undefined;
  const segments = (addressed ?? text.replace(/^\/+/, "")).split("/").map(decodeSegment);
  if (segments.length === 1 && segments[0] === "") return undefined;
  try {
    return segments.some((segment) => segment === "." || segment === "..") ? undefined : segments.map(encodeSegment).join("/");
  } catch {
    return undefined;
  }
}

/** Formats a path for people. It escapes only ambiguous characters, so that the result, typed in again, is the same channel. */
export function showChannelPath(path: string): string {
  return path
    .split("/")
    .map((segment) => decodeSegment(segment).replace(/[%/]|\p{Cc}|\p{Cf}|^\s|\s$/gu, encodeURIComponent))
    .join("/");
}

/** Formats a path as a token's pattern that matches it alone, quoted for a shell. */
export function quotePattern(path: string): string {
  return `'${path.replace(/['*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`)}'`;
}

function decodeSegment(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}

/** @throws URIError for a lone surrogate */
function encodeSegment(segment: string): string {
  return encodeURIComponent(segment);
}
