import { SignJWT } from "jose";
import { Pattern } from "./pattern.ts";

/** What a token is to say. */
export interface Grant {
  /** `sub`; undefined: nobody in particular. */
  readonly subject: string | undefined;
  readonly subscribe: readonly string[];
  readonly publish: readonly string[];
  readonly ttlMs: number;
}

/** The first text that is no pattern, see {@link Pattern.parse}. */
export function wrongPattern({ subscribe, publish }: Grant): string | undefined {
  return [...subscribe, ...publish].find((text) => Pattern.parse(text) === undefined);
}

/** A token in compact form, signed with HS256 (RFC 7515 §7.1, RFC 7518 §3.2). */
export function signToken({ subject, subscribe, publish, ttlMs }: Grant, secret: string): Promise<string> {
  const issued = Math.floor(Date.now() / 1000);
  const token = new SignJWT({ lockstep: { subscribe: [...subscribe], publish: [...publish] } })
    .setProtectedHeader({ alg: "HS256", typ: "JWT" })
    .setIssuedAt(issued)
    .setExpirationTime(issued + Math.ceil(ttlMs / 1000));
  if (subject !== undefined) token.setSubject(subject);
  return token.sign(new TextEncoder().encode(secret));
}
