import type { Resolver } from "../channels/resolver.ts";
import type { Target } from "../channels/kind.ts";
import { Problem } from "../errors.ts";

const NO_QUERY = new URLSearchParams();

/**
 * The channel that a request is for. Elysia's `:value` would decode wrongly and its `*` not at all, so the path is read from the
 * url here, once.
 *
 * @param route what stands before the channel's path, as in `/ws/`
 * @throws Problem `malformed-request`, `malformed-path`, `no-channel`
 */
export function targetChannel(url: string, route: string, resolver: Resolver): Target {
  const misread = badHost(url);
  if (misread !== undefined) throw misread;
  const { path } = splitTarget(url);
  const resolved = resolver.byPath(path.slice(route.length));
  if (resolved === undefined) throw new Problem("no-channel", "There is no such channel.");
  return resolved;
}

/**
 * Without a Host that is an authority Bun's url is the bare path. Elysia reads that wrongly, and finds this route or that by
 * the length of the path, so such a request goes nowhere (RFC 9112 §3.2 wants a 400).
 */
export function badHost(url: string): Problem | undefined {
  return url.startsWith("/") ? new Problem("malformed-request", "The Host header is missing or not valid.") : undefined;
}

/** The query of a request. */
export function targetQuery(url: string): URLSearchParams {
  const { query } = splitTarget(url);
  return query === "" ? NO_QUERY : new URLSearchParams(query);
}

/** The path of a request, without the query: that may hold a token. */
export function targetPath(url: string): string {
  return badHost(url) === undefined ? splitTarget(url).path : (url.split("?")[0] ?? "");
}

function splitTarget(url: string): { path: string; query: string } {
  const start = url.indexOf("/", url.indexOf("://") + 3);
  const mark = url.indexOf("?", start);
  return mark === -1 ? { path: url.slice(start), query: "" } : { path: url.slice(start, mark), query: url.slice(mark + 1) };
}
