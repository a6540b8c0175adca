import { Problem } from "../errors.ts";

/** How long a browser may remember the answer to a preflight, in seconds. */
const PREFLIGHT_MAX_AGE_S = 600;
const ALLOWED_HEADERS = "authorization, content-type, idempotency-key, last-event-id";
const EXPOSED_HEADERS = "retry-after, www-authenticate";

/**
 * Of whose pages browsers may come (RFC 6454), and what they are told of it (https://fetch.spec.whatwg.org/#http-cors-protocol).
 * Without a list any: there are no cookies that would make it somebody else's browser.
 */
export class Origins {
  readonly #allowed: ReadonlySet<string>;

  constructor(allowed: readonly string[]) {
    this.#allowed = new Set(allowed);
  }

  /** @throws Problem `foreign-origin` */
  require(headers: Headers): void {
    if (!this.#admits(headers)) throw new Problem("foreign-origin", "Pages of this origin may not come here.");
  }

  /** What lets the page that asked read the answer. */
  corsHeaders(headers: Headers): Record<string, string> {
    if (this.#allowed.size === 0) return { "access-control-allow-origin": "*", "access-control-expose-headers": EXPOSED_HEADERS };
    const origin = headers.get("origin");
    // The answer is another for another origin, also for the one that brings none.
    if (origin === null || !this.#admits(headers)) return { vary: "Origin" };
    return { vary: "Origin", "access-control-allow-origin": origin, "access-control-expose-headers": EXPOSED_HEADERS };
  }

  /** The answer to a preflight, or undefined where a request is none. */
  preflight({ method, headers }: Request, methods: string): Response | undefined {
    if (method !== "OPTIONS" || !headers.has("origin") || !headers.has("access-control-request-method")) return undefined;
    this.require(headers);
    const answer = {
      ...this.corsHeaders(headers),
      "access-control-allow-methods": methods,
      "access-control-allow-headers": ALLOWED_HEADERS,
      "access-control-max-age": String(PREFLIGHT_MAX_AGE_S),
    };
    return new Response(null, { status: 204, headers: answer });
  }

  #admits(headers: Headers): boolean {
    const origin = headers.get("origin");
    if (this.#allowed.size === 0 || origin === null) return true;
    return this.#allowed.has(origin) || isOwn(origin, headers.get("host") ?? "");
  }
}

/** Whether a page is of this very server. Only the host is compared: a proxy may have ended the TLS of an https page. */
function isOwn(origin: string, host: string): boolean {
  const [scheme, rest] = origin.split("://");
  const own = `${scheme}://${host}`;
  return rest !== undefined && /^https?$/.test(scheme ?? "") && URL.canParse(own) && new URL(own).origin === origin;
}
