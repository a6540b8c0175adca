import type { Instance } from "../context.ts";
import { etagOf, isKnown } from "../request/body.ts";
import { badHost, targetPath } from "../request/target.ts";
import { consolePage } from "./console-page.ts" with { type: "macro" };

const { html, script, style } = consolePage();

/**
 * The page may run its own script and talk to the server that it came from, and nothing else. For an http(s) page `'self'` includes ws(s) of the
 * same host (https://www.w3.org/TR/CSP3/#match-schemes). Text of other people cannot become markup: nothing creates a TrustedHTML.
 */
const POLICY = [
  "default-src 'none'",
  `script-src ${script}`,
  `style-src ${style}`,
  "img-src data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join("; ");

const caching = {
  // Browsers ask again each time, so a new version of the server shows at once.
  "cache-control": "no-cache",
  etag: etagOf(html),
  "content-security-policy": POLICY,
  "cross-origin-resource-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
};

/** `GET /`: the console, a page to join channels, send messages and watch them. The page needs no token; its requests do. */
export function getConsole(instance: Instance, { headers }: Request): Response {
  instance.rules.origins.require(headers);
  if (isKnown(headers, caching.etag)) return new Response(null, { status: 304, headers: caching });
  return new Response(html, { headers: { ...caching, "content-type": "text/html; charset=utf-8" } });
}

/**
 * Refuses the requests that Elysia mistakes for `/`: those without a valid Host whose path ends with a slash.
 *
 * @throws Problem `malformed-request`
 */
export function requireRoot(url: string): void {
  const misread = targetPath(url) === "/" ? undefined : badHost(url);
  if (misread !== undefined) throw misread;
}
