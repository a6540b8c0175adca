import { createPublicKey, type KeyObject } from "node:crypto";

/** A key that verifies tokens, with its only algorithm (RFC 7518 §3.1, RFC 8037 §3.1). */
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
 * @throws Error with the fault, without the text: it could be a private key
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

/** The allowed form of a public key that cannot be used. */
export function publicKeyFault(pem: string): string | undefined {
  if (pem === "") return undefined;
  try {
    parsePublicKey(pem);
    return undefined;
  } catch (error) {
    const reason = error instanceof Error ? error.message : "unreadable";
    return `a public key in PEM: RSA of 2048 bits or more, P-256 or Ed25519 (${reason})`;
  }
}
