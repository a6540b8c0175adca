import type { Pattern } from "./pattern.ts";

/** Who asks: nobody in particular, the holder of a token, or a backend with the API key, which may do everything. */
export type Caller = { readonly by: "nobody" } | { readonly by: "key"; readonly digest: Buffer } | Holder;

/** What a token says of its holder. */
export interface Holder {
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

export const NOBODY: Caller = { by: "nobody" };

export function subjectOf(caller: Caller): string | null {
  return caller.by === "token" ? caller.subject : null;
}

/** When it may not stay any longer: milliseconds since 1970, or infinity. */
export function expiryOf(caller: Caller): number {
  return caller.by === "token" ? caller.expiresMs : Number.POSITIVE_INFINITY;
}
