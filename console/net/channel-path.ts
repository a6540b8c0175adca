/** What a person types for a channel, or pastes: a path, or any address of it (`ws://host/ws/rooms/lobby?recent=5`). */
const ADDRESS = /^(?:(?:wss?|https?):\/\/[^/]*)?\/?(?:ws|sse|publish|history|presence)\/([^?#]*)/i;
const HAS_HOST = /^(?:wss?|https?):\/\//i;

/**
 * The path as it goes on the wire. An escape that is one stays what it stands for, so `a%2Fb` is one value with a "/" in it; a "%" that
 * begins none is a "%". Undefined where nothing can be asked for: an address of something else, half a character, and `.` and `..`, which
 * a browser takes out of an address before it asks.
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

/** The path for people: only what would be read otherwise is escaped, so that typed in again it is the same channel. */
export function showChannelPath(path: string): string {
  return path
    .split("/")
    .map((segment) => decodeSegment(segment).replace(/[%/]|\p{Cc}|\p{Cf}|^\s|\s$/gu, encodeURIComponent))
    .join("/");
}

/** A path as a token's pattern that stands for it alone, in quotes of a shell. */
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

/** @throws URIError where half a character stands alone */
function encodeSegment(segment: string): string {
  return encodeURIComponent(segment);
}
