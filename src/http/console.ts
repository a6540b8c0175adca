import { Elysia } from "elysia";
import { consolePage } from "./console-page.ts" with { type: "macro" };
import type { Instance } from "./context.ts";
import { etagOf, isKnown } from "./etag.ts";
import { otherMethods } from "./problems.ts";
import { badHost, targetPath } from "./target.ts";

const { html, script, style } = consolePage();

/**
 * All that the page may do: run itself, and speak to the server that it came from. `'self'` of an http(s) page includes ws(s) of the
 * same host (https://www.w3.org/TR/CSP3/#match-schemes). Texts of others cannot become markup: nothing makes a TrustedHTML.
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
  // Asked for again each time, so that a new version of the server shows at once.
  "cache-control": "no-cache",
  etag: etagOf(html),
  "content-security-policy": POLICY,
  "cross-origin-resource-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
};

/** `GET /`: the console, a page to join channels, send and watch. It needs no token; what it asks the server for does. */
export function consoleRoute(instance: Instance) {
  const others = otherMethods(instance, "GET, HEAD");
  const answer = ({ request }: { request: Request }): Response => {
    requireRoot(request.url);
    const { headers } = request;
    instance.rules.origins.require(headers);
    if (isKnown(headers, caching.etag)) return new Response(null, { status: 304, headers: caching });
    return new Response(html, { headers: { ...caching, "content-type": "text/html; charset=utf-8" } });
  };
  return new Elysia({ name: "console" })
    .get("/", answer)
    .head("/", answer)
    .all("/", ({ request }) => {
      requireRoot(request.url);
      return others({ request });
    });
}

/**
 * With a Host that is none Elysia takes paths that end with a slash for this one.
 *
 * @throws Problem `malformed-request` for them
 */
function requireRoot(url: string): void {
  const misread = targetPath(url) === "/" ? undefined : badHost(url);
  if (misread !== undefined) throw misread;
}
