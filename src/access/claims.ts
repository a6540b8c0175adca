import { Pattern } from "./pattern.ts";
import { Type } from "@sinclair/typebox";
import { Value } from "@sinclair/typebox/value";
import { SignJWT } from "jose";

/** The claims of a verified token. */
export interface TokenClaims {
  readonly by: "token";
  /** The keys that verified it, by identity. A reload with other keys makes the token invalid. */
  readonly verifier: object;
  /** `sub`, RFC 7519 §4.1.2. */
  readonly subject: string | null;
  /** Milliseconds since 1970. */
  readonly expiresMs: number;
  readonly subscribe: readonly Pattern[];
  readonly publish: readonly Pattern[];
}

const patterns = Type.Optional(Type.Array(Type.String()));

const claimsSchema = Type.Object({
  sub: Type.Optional(Type.String({ minLength: 1 })),
  exp: Type.Number(),
  lockstep: Type.Optional(Type.Object({ subscribe: patterns, publish: patterns })),
});

/** Narrows the payload of a verified token; undefined if a claim is missing or of the wrong type. */
export function parseClaims(payload: unknown, verifier: object): TokenClaims | undefined {
  if (!Value.Check(claimsSchema, payload)) return undefined;
  const { sub, exp, lockstep } = payload;
  // A lone surrogate changes on its way over the bus, and an operator could not disconnect that subject.
  if (sub?.isWellFormed() === false) return undefined;
  return {
    by: "token",
    verifier,
    subject: sub ?? null,
    expiresMs: exp * 1000,
    subscribe: parsePatterns(lockstep?.subscribe),
    publish: parsePatterns(lockstep?.publish),
  };
}

function parsePatterns(texts: readonly string[] = []): Pattern[] {
  return texts.map((text) => Pattern.parse(text)).filter((pattern) => pattern !== undefined);
}

/** The claims of a token that is to be signed. */
export interface NewClaims {
  /** `sub`; undefined: the token names nobody. */
  readonly subject: string | undefined;
  readonly subscribe: readonly string[];
  readonly publish: readonly string[];
  readonly ttlMs: number;
}

/** The first text that is not a pattern, see {@link Pattern.parse}. */
export function wrongPattern({ subscribe, publish }: NewClaims): string | undefined {
  return [...subscribe, ...publish].find((text) => Pattern.parse(text) === undefined);
}

/** A token in compact form, signed with HS256 (RFC 7515 §7.1, RFC 7518 §3.2). */
export function signToken({ subject, subscribe, publish, ttlMs }: NewClaims, secret: string): Promise<string> {
  const issued = Math.floor(Date.now() / 1000);
  const token = new SignJWT({ lockstep: { subscribe: [...subscribe], publish: [...publish] } })
    .setProtectedHeader({ alg: "HS256", typ: "JWT" })
    .setIssuedAt(issued)
    .setExpirationTime(issued + Math.ceil(ttlMs / 1000));
  if (subject !== undefined) token.setSubject(subject);
  return token.sign(new TextEncoder().encode(secret));
}

/** The author of a request: nobody known, the holder of a token, or a backend with the API key, which may do everything. */
export type Principal = Nobody | Backend | TokenClaims;

interface Nobody {
  readonly by: "nobody";
}

interface Backend {
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
