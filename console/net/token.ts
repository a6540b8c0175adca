/** What a token says of itself. It is not verified here: only the server can. */
export interface TokenSaying {
  readonly sub: string | undefined;
  readonly expiresMs: number | undefined;
}

/** What a header can carry as a bearer token (RFC 6750 §2.1): a JSON Web Token, or an API key. */
const BEARER = /^[\w.~+/-]+=*$/;

/** What a person pasted, without what may stand before it. */
export function trimToken(typed: string): string {
  return typed.trim().replace(/^bearer\s+/i, "");
}

/** Whether a text can be sent as a token at all. With another a browser sends nothing, which looks like a server that is away. */
export function isSendable(text: string): boolean {
  return BEARER.test(text);
}

export function readToken(token: string): TokenSaying | undefined {
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
