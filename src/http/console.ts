import { createHash } from "node:crypto";
import { Elysia } from "elysia";
import { consolePage } from "./console-page.ts" with { type: "macro" };
import type { Instance } from "./context.ts";
import { otherMethods } from "./problems.ts";

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
  etag: `"${createHash("sha256").update(html).digest("base64url")}"`,
  "content-security-policy": POLICY,
  "cross-origin-resource-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
};

/** `GET /`: the console, a page to join channels, send and watch. It needs no token; what it asks the server for does. */
export function consoleRoute(instance: Instance) {
  const answer = ({ request }: { request: Request }): Response => {
    const { headers } = request;
    instance.rules.origins.require(headers);
    if (names(headers.get("if-none-match"), caching.etag)) return new Response(null, { status: 304, headers: caching });
    return new Response(html, { headers: { ...caching, "content-type": "text/html; charset=utf-8" } });
  };
  return new Elysia({ name: "console" }).get("/", answer).head("/", answer).all("/", otherMethods(instance, "GET, HEAD"));
}

/** Whether `If-None-Match` has the tag in its list; whether it is weak makes no difference there (RFC 9110 §13.1.2). */
function names(list: string | null, etag: string): boolean {
  return list?.split(",").some((item) => item.trim() === "*" || item.trim().replace(/^W\//, "") === etag) ?? false;
}
