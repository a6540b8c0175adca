import type { TokenClaims } from "./claims.ts";

/** The author of a request: nobody known, the holder of a token, or a backend with the API key, which may do everything. */
export type Principal = Nobody | KeyHolder | TokenClaims;

interface Nobody {
  readonly by: "nobody";
}

interface KeyHolder {
  readonly by: "key";
  /** SHA-256 of the key that it brought: after a reload, another key may be the right one. */
  readonly digest: Buffer;
}

export const ANONYMOUS: Principal = { by: "nobody" };

/** The subject of a token; null for everybody else. */
export function subjectOf(principal: Principal): string | null {
  return principal.by === "token" ? principal.subject : null;
}

/** The time at which its sessions have to end: milliseconds since 1970, or infinity. */
export function expiryOf(principal: Principal): number {
  return principal.by === "token" ? principal.expiresMs : Number.POSITIVE_INFINITY;
}
