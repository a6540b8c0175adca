import type { KeyObject } from "node:crypto";
import {
  createRemoteJWKSet,
  customFetch,
  decodeProtectedHeader,
  errors,
  jwtVerify,
  type JWTVerifyGetKey,
  type JWTVerifyOptions,
} from "jose";
import type { Auth } from "../config/config.ts";
import { describeError, type Log } from "../log.ts";
import { TokenBucket } from "../token-bucket.ts";
import type { Holder } from "./caller.ts";
import { parseClaims } from "./claims.ts";

/** How long a handshake may wait for keys that have to be fetched. */
const FETCH_TIMEOUT_MS = 2500;
/** Keys are asked for this often, whatever names of keys strangers make up, and twice that in a burst. */
const FETCHES_PER_SECOND = 2;
const MAX_KEYS_BYTES = 1024 * 1024;
const REPORT_MS = 60_000;
const ALGORITHMS = ["RS256", "ES256", "EdDSA"];

/** A way to prove that a token is genuine. */
interface Verifier {
  /** What its key is good for, and nothing else: a public key taken for a secret would let anybody sign (RFC 8725 §3.1). */
  readonly algorithms: readonly string[];
  readonly key: Uint8Array | KeyObject | JWTVerifyGetKey;
}

/** Verifies tokens: JSON Web Tokens (RFC 7519) that are signed with a secret, a key, or one of those behind a url (RFC 7517 §5). */
export class Tokens {
  readonly #verifiers: readonly Verifier[];
  readonly #log: Log;
  readonly #fetches = new TokenBucket(FETCHES_PER_SECOND);
  #reportedMs = 0;

  constructor({ jwtSecret, publicKey, jwksUrl }: Auth, log: Log) {
    this.#log = log;
    const verifiers: Verifier[] = [];
    if (jwtSecret !== "") verifiers.push({ algorithms: ["HS256"], key: new TextEncoder().encode(jwtSecret) });
    if (publicKey !== undefined) verifiers.push({ algorithms: [publicKey.algorithm], key: publicKey.key });
    if (jwksUrl !== "") verifiers.push({ algorithms: ALGORITHMS, key: this.#remoteKey(jwksUrl) });
    this.#verifiers = verifiers;
  }

  /** Whether any token can be valid. */
  get any(): boolean {
    return this.#verifiers.length > 0;
  }

  /** What a token says, or undefined where it is not valid: forged, expired, not yet valid, without `exp`, of another form. Never throws. */
  async verify(token: string): Promise<Holder | undefined> {
    const algorithm = algorithmOf(token);
    for (const { algorithms, key } of this.#verifiers) {
      if (algorithm === undefined || !algorithms.includes(algorithm)) continue;
      try {
        return parseClaims(await payloadOf(token, key, { algorithms: [algorithm], requiredClaims: ["exp"] }));
      } catch {
        // Whatever the reason, this key does not open the door.
      }
    }
    return undefined;
  }

  /** Keys from a url: kept for ten minutes, fetched again when a token names an unknown one. */
  #remoteKey(url: string): JWTVerifyGetKey {
    const keys = createRemoteJWKSet(new URL(url), {
      timeoutDuration: FETCH_TIMEOUT_MS,
      cooldownDuration: 0,
      [customFetch]: async (target, options) => {
        if (!this.#fetches.take()) throw new errors.JWKSNoMatchingKey();
        return bounded(await fetch(target, options));
      },
    });
    return async (header, token) => {
      try {
        return await keys(header, token);
      } catch (error) {
        if (!(error instanceof errors.JWKSNoMatchingKey || error instanceof errors.JWKSMultipleMatchingKeys)) this.#report(error);
        throw error;
      }
    };
  }

  #report(error: unknown): void {
    if (Date.now() - this.#reportedMs < REPORT_MS) return;
    this.#reportedMs = Date.now();
    this.#log.error("tokens cannot be verified: their keys cannot be had", { error: describeError(error) });
  }
}

/** @throws Error where the body is larger than any list of keys */
async function bounded(response: Response): Promise<Response> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const part of response.body ?? []) {
    bytes += part.byteLength;
    if (bytes > MAX_KEYS_BYTES) throw new Error(`the list of keys has more than ${MAX_KEYS_BYTES} bytes`);
    parts.push(part);
  }
  return new Response(Buffer.concat(parts), { status: response.status });
}

function algorithmOf(token: string): string | undefined {
  try {
    return decodeProtectedHeader(token).alg;
  } catch {
    return undefined;
  }
}

async function payloadOf(token: string, key: Verifier["key"], options: JWTVerifyOptions): Promise<unknown> {
  if (typeof key !== "function") return (await jwtVerify(token, key, options)).payload;
  try {
    return (await jwtVerify(token, key, options)).payload;
  } catch (error) {
    if (!(error instanceof errors.JWKSMultipleMatchingKeys)) throw error;
    // A token that does not name its key may be of any that fit.
    for await (const candidate of error) {
      const found = await jwtVerify(token, candidate, options).catch(() => undefined);
      if (found !== undefined) return found.payload;
    }
    throw error;
  }
}
