import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { SignJWT } from "jose";
import { signToken } from "../../src/access/claims.ts";

export const SECRET = "a secret of the tests that is long enough for HS256";
export const API_KEY = "the-backend-s-key";

export interface Rights {
  readonly sub?: string;
  readonly subscribe?: readonly string[];
  readonly publish?: readonly string[];
  readonly ttlMs?: number;
}

/** A token of an hour, unless said otherwise. */
export function tokenOf({ sub, subscribe = [], publish = [], ttlMs = 3_600_000 }: Rights, secret = SECRET): Promise<string> {
  return signToken({ subject: sub, subscribe, publish, ttlMs }, secret);
}

export function bearer(token: string): Record<string, string> {
  return { authorization: `Bearer ${token}` };
}

/** What a token is made of, each part as a forger would choose it. */
export function compact(header: unknown, claims: unknown, signature: string): string {
  const part = (value: unknown): string => Buffer.from(typeof value === "string" ? value : JSON.stringify(value)).toString("base64url");
  return `${part(header)}.${part(claims)}.${signature}`;
}

export const HOUR_AHEAD = Math.floor(Date.now() / 1000) + 3600;
export const EVERYTHING = { subscribe: ["**"], publish: ["**"] };

/** A signed token with any claims and header. */
export function signed(claims: object, key: KeyObject | string, header: { alg: string; kid?: string }): Promise<string> {
  const secret = typeof key === "string" ? new TextEncoder().encode(key) : key;
  return new SignJWT({ ...claims }).setProtectedHeader(header).sign(secret);
}

export const keyPairs = {
  RS256: () => generateKeyPairSync("rsa", { modulusLength: 2048 }),
  ES256: () => generateKeyPairSync("ec", { namedCurve: "P-256" }),
  EdDSA: () => generateKeyPairSync("ed25519"),
} as const;

export function pemOf(key: KeyObject): string {
  return key.export({ type: "spki", format: "pem" });
}
