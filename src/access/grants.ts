import { createHmac, timingSafeEqual } from "node:crypto";

/**
 * A right to one channel that comes with a subscription, beside the rights of the session's token: a backend signs it for one client,
 * and the client brings it when it subscribes.
 */
export interface Grant {
  /** The channel's name. */
  readonly channel: string;
  readonly publish: boolean;
  /** Milliseconds since 1970. */
  readonly expiresMs: number;
}

/** The signature over a grant for the session of this id: HMAC-SHA256 (RFC 2104) in hex. The same grant is worth nothing to another session. */
export function signGrant(grant: Grant, session: string, secret: string): string {
  const { channel, publish, expiresMs } = grant;
  return createHmac("sha256", secret)
    .update(JSON.stringify([session, channel, publish, expiresMs]))
    .digest("hex");
}

/** Returns true if the signature is genuine and the grant has not expired. It compares in constant time. */
export function isGranted(grant: Grant, signature: string, session: string, secret: string): boolean {
  const expected = Buffer.from(signGrant(grant, session, secret));
  const given = Buffer.from(signature);
  return given.length === expected.length && timingSafeEqual(given, expected) && grant.expiresMs > Date.now();
}
