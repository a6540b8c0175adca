/** Claims of a token, unverified: only the server can verify them. */
export interface TokenClaims {
  readonly sub: string | undefined;
  readonly expiresMs: number | undefined;
}

/** Shape of a bearer token in a header (RFC 6750 §2.1): a JSON Web Token or an API key. */
const BEARER = /^[\w.~+/-]+=*$/;

/** Removes the scheme that may come with a pasted token. */
export function trimToken(typed: string): string {
  return typed.trim().replace(/^bearer\s+/i, "");
}

/** True if a header can carry the text. With any other a browser sends nothing, which looks like a server that is away. */
export function isSendable(text: string): boolean {
  return BEARER.test(text);
}

export function readToken(token: string): TokenClaims | undefined {
  try {
    const base64 = (token.split(".")[1] ?? "").replace(/-/g, "+").replace(/_/g, "/");
    const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
    const claims: unknown = JSON.parse(new TextDecoder().decode(bytes));
    if (typeof claims !== "object" || claims === null) return undefined;
    const sub = "sub" in claims && typeof claims.sub === "string" ? claims.sub : undefined;
    const expiresMs = "exp" in claims && typeof claims.exp === "number" ? claims.exp * 1000 : undefined;
    return { sub, expiresMs };
  } catch {
    return undefined;
  }
}
