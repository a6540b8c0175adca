import { createPublicKey, type KeyObject } from "node:crypto";

/** A key that tokens are verified with, and the only algorithm that it is good for (RFC 7518 §3.1, RFC 8037 §3.1). */
export interface PublicKey {
  readonly pem: string;
  readonly key: KeyObject;
  readonly algorithm: "RS256" | "ES256" | "EdDSA";
}

/** RFC 7518 §3.3. */
const MIN_RSA_BITS = 2048;

/**
 * Reads a public key in PEM (RFC 7468 §13).
 *
 * @throws Error what is wrong with it, without its text: it could be a private key
 */
export function parsePublicKey(pem: string): PublicKey {
  if (pem.includes("PRIVATE KEY")) throw new Error("this is a private key");
  let key: KeyObject;
  try {
    key = createPublicKey(pem);
  } catch {
    throw new Error("this is no public key in PEM");
  }
  const { modulusLength = 0, namedCurve } = key.asymmetricKeyDetails ?? {};
  if (key.asymmetricKeyType === "rsa") {
    if (modulusLength < MIN_RSA_BITS) throw new Error(`this key has ${modulusLength} bits`);
    return { pem, key, algorithm: "RS256" };
  }
  if (key.asymmetricKeyType === "ec" && namedCurve === "prime256v1") return { pem, key, algorithm: "ES256" };
  if (key.asymmetricKeyType === "ed25519") return { pem, key, algorithm: "EdDSA" };
  throw new Error(`this is a key of another kind (${key.asymmetricKeyType ?? "unknown"})`);
}
