import { plainAddress, type Networks } from "../../config/networks.ts";
import { Problem } from "../../errors.ts";

/** Time for which a browser may remember the answer to a preflight, in seconds. */
const PREFLIGHT_MAX_AGE_S = 600;
const ALLOWED_HEADERS = "authorization, content-type, idempotency-key, last-event-id";
const EXPOSED_HEADERS = "retry-after, www-authenticate";

/**
 * The origins (RFC 6454) whose pages may use the server, and the CORS headers for them (https://fetch.spec.whatwg.org/#http-cors-protocol).
 * An empty list allows every origin. That is safe, because there are no cookies with which a page could act as its visitor.
 */
export class Origins {
  readonly #allowed: ReadonlySet<string>;

  constructor(allowed: readonly string[]) {
    this.#allowed = new Set(allowed);
  }

  /** @throws Problem `foreign-origin` */
  require(headers: Headers): void {
    if (!this.#admits(headers)) throw new Problem("foreign-origin", "Pages of this origin may not use this server.");
  }

  /** Returns the headers that let the requesting page read the answer. */
  corsHeaders(headers: Headers): Record<string, string> {
    if (this.#allowed.size === 0) return { "access-control-allow-origin": "*", "access-control-expose-headers": EXPOSED_HEADERS };
    const origin = headers.get("origin");
    // The answer depends on the origin, even for a request without one.
    if (origin === null || !this.#admits(headers)) return { vary: "Origin" };
    return { vary: "Origin", "access-control-allow-origin": origin, "access-control-expose-headers": EXPOSED_HEADERS };
  }

  /**
   * Returns the answer to a preflight, or undefined for any other request.
   *
   * @throws Problem `foreign-origin`
   */
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

/** Returns true if an origin is this server. It compares hosts only: a proxy may have terminated the TLS of an https page. */
function isOwn(origin: string, host: string): boolean {
  const [scheme, rest] = origin.split("://");
  const own = `${scheme}://${host}`;
  return rest !== undefined && /^https?$/.test(scheme ?? "") && URL.canParse(own) && new URL(own).origin === origin;
}

/** The part of Bun's server that knows addresses. */
interface Peers {
  requestIP(request: Request): { readonly address: string } | null;
}

/**
 * Returns the address that a request comes from, or "unknown". `X-Forwarded-For` is read from the right and only as far as trusted proxies wrote
 * it: a client can forge everything further left.
 */
export function addressOf(request: Request, server: Peers | null, proxies: Networks): string {
  const peer = server?.requestIP(request)?.address ?? "";
  let address = plainAddress(peer);
  if (address === undefined) return "unknown";
  const forwarded = request.headers.get("x-forwarded-for")?.split(",").toReversed() ?? [];
  for (const entry of forwarded) {
    if (!proxies.has(address)) break;
    const before = plainAddress(withoutPort(entry.trim()));
    if (before === undefined) break;
    address = before;
  }
  return address;
}

/** Some proxies write `1.2.3.4:567` and `[::1]:567`. */
function withoutPort(entry: string): string {
  return /^\[(.*)\](?::[0-9]+)?$/.exec(entry)?.[1] ?? /^([0-9.]+):[0-9]+$/.exec(entry)?.[1] ?? entry;
}
