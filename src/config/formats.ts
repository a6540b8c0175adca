import { parseDuration } from "../lib/time.ts";
import { Cron } from "croner";
import { createPublicKey, type KeyObject } from "node:crypto";
import { isIP } from "node:net";

/*
 * The formats of texts in the configuration. Each function answers the allowed form if a text does not have it, else undefined.
 */

/** An origin as browsers send it (RFC 6454 §6.1). It is compared as a text, so any other form never matches. */
export function originFault(text: string): string | undefined {
  const scheme = /^([a-z][a-z0-9+.-]*):\/\/[^/?#\s@*,]+$/.exec(text)?.[1];
  if (scheme === undefined) return 'an origin as in "https://example.com", without path or *';
  if (scheme !== "http" && scheme !== "https") return undefined;
  const { origin = "" } = URL.canParse(text) ? new URL(text) : {};
  if (origin === "") return 'an origin as in "https://example.com"';
  return origin === text ? undefined : `${JSON.stringify(origin)}, as browsers write it`;
}

/** An address or a host name (RFC 1123 §2.1). A text that looks like an address has to be one. */
export function hostFault(text: string): string | undefined {
  const isName = /^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$/.test(text) && !/(^|\.)[0-9]+$/.test(text);
  return isName || isIP(text) !== 0 ? undefined : "an address to listen on, or a name";
}

/** A Bearer token (RFC 6750 §2.1) has no other characters. */
export function apiKeyFault(text: string): string | undefined {
  return /^[\x21-\x7e]*$/.test(text) ? undefined : "visible ASCII characters, without spaces";
}

export function jwksUrlFault(text: string): string | undefined {
  if (text === "") return undefined;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const isPlain = url !== undefined && /^https?:$/.test(url.protocol) && url.username === "" && url.password === "";
  return isPlain ? undefined : "an http or https url without credentials";
}

/** ioredis reads options from the query, so a url must not have one. */
export function redisUrlFault(text: string): string | undefined {
  if (text === "") return undefined;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^rediss?:$/.test(url.protocol) || url.hostname === "" || url.search !== "" || url.hash !== "") {
    return "redis://host:port or rediss://host:port, with credentials before an @, and no ? or # behind it";
  }
  if (!isPercentEncoded(url.username) || !isPercentEncoded(url.password)) return "credentials with every % escaped as %25";
  return /^\/?0?$/.test(url.pathname) ? undefined : "no database other than 0: pub/sub does not know databases";
}

/** Braces that form no hash tag would leave a channel and its keys in different slots of a Redis Cluster (bus/redis/keys.ts). */
export function redisPrefixFault(text: string): string | undefined {
  const isTagged = /^[^{]*\{[^}]+\}/.test(text);
  return /[{}]/.test(text) && !isTagged ? 'a text without braces, or with a hash tag, as in "{app}:"' : undefined;
}

export function timezoneFault(text: string): string | undefined {
  const allowed = 'an IANA time zone, as in "Asia/Shanghai"';
  try {
    return text === "" || new Intl.DateTimeFormat("en", { timeZone: text }).resolvedOptions().timeZone !== "" ? undefined : allowed;
  } catch {
    return allowed;
  }
}

/** Cron with seconds, at least once in the future. */
export function cronFault(text: string): string | undefined {
  const allowed = 'cron with seconds: six fields as in "*/5 * * * * *", with a time that comes';
  try {
    return text.trim().split(/\s+/).length === 6 && new Cron(text, { paused: true }).nextRun() !== null ? undefined : allowed;
  } catch {
    return allowed;
  }
}

export function positiveDurationFault(text: string): string | undefined {
  return parseDuration(text) > 0 ? undefined : "a duration of more than 0";
}

function isPercentEncoded(text: string): boolean {
  try {
    return decodeURIComponent(text).length >= 0;
  } catch {
    return false;
  }
}

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
