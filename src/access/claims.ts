import { Type } from "@sinclair/typebox";
import { Value } from "@sinclair/typebox/value";
import type { TokenClaims } from "./principal.ts";
import { Pattern } from "./pattern.ts";

const patterns = Type.Optional(Type.Array(Type.String()));

const claimsSchema = Type.Object({
  sub: Type.Optional(Type.String({ minLength: 1 })),
  exp: Type.Number(),
  lockstep: Type.Optional(Type.Object({ subscribe: patterns, publish: patterns })),
});

/** What the claims of a verified token say, or undefined where one is missing or of the wrong type. */
export function parseClaims(claims: unknown, verifier: object): TokenClaims | undefined {
  if (!Value.Check(claimsSchema, claims)) return undefined;
  const { sub, exp, lockstep } = claims;
  // Half a character would not come back from the bus as it is, and could then not be told to leave.
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
