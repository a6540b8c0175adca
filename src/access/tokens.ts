import type { KeyObject } from "node:crypto";
import { decodeProtectedHeader, jwtVerify, type JWTVerifyOptions } from "jose";
import type { Auth } from "../config/config.ts";
import type { Log } from "../log.ts";
import { parseClaims, type TokenClaims } from "./claims.ts";
import { RemoteKeys } from "./remote-keys.ts";

/** One key, or set of keys, that proves a token genuine. */
interface Verifier {
  /** The only algorithms of its keys. A public key that is used as an HMAC secret lets anybody sign (RFC 8725 §3.1, CWE-347). */
  readonly algorithms: readonly string[];
  /** The payload of a token. @throws Error if it is not genuine */
  readonly verify: (token: string, options: JWTVerifyOptions) => Promise<unknown>;
}

/** Verifies JSON Web Tokens (RFC 7519) by a secret, a public key, or the keys behind a url. */
export class Tokens {
  readonly #verifiers: readonly Verifier[];

  constructor({ jwtSecret, publicKey, jwksUrl }: Auth, log: Log) {
    const verifiers: Verifier[] = [];
    if (jwtSecret !== "") verifiers.push({ algorithms: ["HS256"], verify: verifyWith(new TextEncoder().encode(jwtSecret)) });
    if (publicKey !== undefined) verifiers.push({ algorithms: [publicKey.algorithm], verify: verifyWith(publicKey.key) });
    if (jwksUrl !== "") {
      const keys = new RemoteKeys(jwksUrl, log);
      verifiers.push({ algorithms: ["RS256", "ES256", "EdDSA"], verify: (token, options) => keys.verify(token, options) });
    }
    this.#verifiers = verifiers;
  }

  /** At least one key is set, so a token can be valid. */
  get any(): boolean {
    return this.#verifiers.length > 0;
  }

  /** The claims of a token; undefined if it is forged, expired, not yet valid, malformed or without `exp`. Never throws. */
  async verify(token: string): Promise<TokenClaims | undefined> {
    const algorithm = algorithmOf(token);
    if (algorithm === undefined) return undefined;
    const options = { algorithms: [algorithm], requiredClaims: ["exp"] };
    for (const { algorithms, verify } of this.#verifiers) {
      if (!algorithms.includes(algorithm)) continue;
      // Every failure means the same: this key did not sign it.
      const payload = await verify(token, options).catch(() => undefined);
      if (payload !== undefined) return parseClaims(payload, this);
    }
    return undefined;
  }
}

function verifyWith(key: Uint8Array | KeyObject): Verifier["verify"] {
  return async (token, options) => (await jwtVerify(token, key, options)).payload;
}

function algorithmOf(token: string): string | undefined {
  try {
    return decodeProtectedHeader(token).alg;
  } catch {
    return undefined;
  }
}
