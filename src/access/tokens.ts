import type { KeyObject } from "node:crypto";
import { decodeProtectedHeader, jwtVerify, type JWTVerifyOptions } from "jose";
import type { Auth } from "../config/config.ts";
import type { Log } from "../log.ts";
import type { TokenClaims } from "./principal.ts";
import { parseClaims } from "./claims.ts";
import { RemoteKeys } from "./remote-key-set.ts";

/** A way to prove that a token is genuine. */
interface Verifier {
  /** What its key is good for, and nothing else: a public key taken for a secret would let anybody sign (RFC 8725 §3.1). */
  readonly algorithms: readonly string[];
  /** The claims of a token. @throws Error where it is not genuine */
  readonly verify: (token: string, options: JWTVerifyOptions) => Promise<unknown>;
}

/** Verifies tokens: JSON Web Tokens (RFC 7519) that are signed with a secret, a key, or one of those behind a url. */
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

  /** Whether any token can be valid. */
  get any(): boolean {
    return this.#verifiers.length > 0;
  }

  /** What a token says, or undefined where it is not valid: forged, expired, not yet valid, without `exp`, of another form. Never throws. */
  async verify(token: string): Promise<TokenClaims | undefined> {
    const algorithm = algorithmOf(token);
    if (algorithm === undefined) return undefined;
    const options = { algorithms: [algorithm], requiredClaims: ["exp"] };
    for (const { algorithms, verify } of this.#verifiers) {
      if (!algorithms.includes(algorithm)) continue;
      // Whatever the reason: this key does not open the door.
      const claims = await verify(token, options).catch(() => undefined);
      if (claims !== undefined) return parseClaims(claims, this);
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
