import type { Pattern } from "./pattern.ts";

/** Who asks: nobody in particular, the claims of a token, or a backend with the API key, which may do everything. */
export type Principal = { readonly by: "nobody" } | { readonly by: "key"; readonly digest: Buffer } | TokenClaims;

/** What a token says of its claims. */
export interface TokenClaims {
  readonly by: "token";
  /** By whom it was verified. */
  readonly verifier: object;
  /** `sub`, RFC 7519 §4.1.2. */
  readonly subject: string | null;
  /** Milliseconds since 1970. */
  readonly expiresMs: number;
  readonly subscribe: readonly Pattern[];
  readonly publish: readonly Pattern[];
}

export const ANONYMOUS: Principal = { by: "nobody" };

export function subjectOf(principal: Principal): string | null {
  return principal.by === "token" ? principal.subject : null;
}

/** When it may not stay any longer: milliseconds since 1970, or infinity. */
export function expiryOf(principal: Principal): number {
  return principal.by === "token" ? principal.expiresMs : Number.POSITIVE_INFINITY;
}
