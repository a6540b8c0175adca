import type { Resolver } from "../../channels/resolver.ts";
import type { Target } from "../../channels/kind.ts";
import { Problem } from "../../errors.ts";

const NO_QUERY = new URLSearchParams();

/**
 * Returns the channel that a request is for: the path after its first segment, as in `/ws/<path>`. Elysia's `:value` decodes wrongly and its
 * `*` not at all, so this reads the raw url, once.
 *
 * @throws Problem `malformed-request`, `malformed-path`, `no-channel`
 */
export function targetChannel(url: string, resolver: Resolver): Target {
  const misread = badHost(url);
  if (misread !== undefined) throw misread;
  const { path } = splitTarget(url);
  const resolved = resolver.byPath(path.slice(path.indexOf("/", 1) + 1));
  if (resolved === undefined) throw new Problem("no-channel", "There is no such channel.");
  return resolved;
}

/**
 * Returns the fault of a request whose Host is missing or not valid (RFC 9112 §3.2), or undefined. Its url is the bare path, which Elysia
 * misreads: it then picks a route by the length of the path.
 */
export function badHost(url: string): Problem | undefined {
  return url.startsWith("/") ? new Problem("malformed-request", "The Host header is missing or not valid.") : undefined;
}

/** Returns the query of a request. */
export function targetQuery(url: string): URLSearchParams {
  const { query } = splitTarget(url);
  return query === "" ? NO_QUERY : new URLSearchParams(query);
}

/** Returns the path of a request, without the query, which may hold a token. */
export function targetPath(url: string): string {
  return badHost(url) === undefined ? splitTarget(url).path : (url.split("?")[0] ?? "");
}

function splitTarget(url: string): { path: string; query: string } {
  const start = url.indexOf("/", url.indexOf("://") + 3);
  const mark = url.indexOf("?", start);
  return mark === -1 ? { path: url.slice(start), query: "" } : { path: url.slice(start, mark), query: url.slice(mark + 1) };
}
