import { isIP } from "node:net";
import { parsePublicKey } from "./public-key.ts";

/*
 * What is wrong with the settings that decide who may come: each answers with what is allowed instead.
 */

/** An origin as browsers send it (RFC 6454 §6.1); it is compared as a text, so any other form would never match. */
export function originFault(text: string): string | undefined {
  const scheme = /^([a-z][a-z0-9+.-]*):\/\/[^/?#\s@*,]+$/.exec(text)?.[1];
  if (scheme === undefined) return 'an origin as in "https://example.com", without path or *';
  if (scheme !== "http" && scheme !== "https") return undefined;
  const { origin = "" } = URL.canParse(text) ? new URL(text) : {};
  if (origin === "") return 'an origin as in "https://example.com"';
  return origin === text ? undefined : `${JSON.stringify(origin)}, as browsers write it`;
}

/** An address or a name (RFC 1123 §2.1); what looks like an address has to be one. */
export function hostFault(text: string): string | undefined {
  const isName = /^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$/.test(text) && !/(^|\.)[0-9]+$/.test(text);
  return isName || isIP(text) !== 0 ? undefined : "an address to listen on, or a name";
}

/** It comes as a Bearer token (RFC 6750 §2.1), which has no other characters. */
export function apiKeyFault(text: string): string | undefined {
  return /^[\x21-\x7e]*$/.test(text) ? undefined : "visible ASCII characters, without spaces";
}

export function jwksUrlFault(text: string): string | undefined {
  if (text === "") return undefined;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const sound = url !== undefined && /^https?:$/.test(url.protocol) && url.username === "" && url.password === "";
  return sound ? undefined : "an http or https url without credentials";
}

export function publicKeyFault(pem: string): string | undefined {
  if (pem === "") return undefined;
  try {
    parsePublicKey(pem);
    return undefined;
  } catch (error) {
    const what = error instanceof Error ? error.message : "unreadable";
    return `a public key in PEM: RSA of 2048 bits or more, P-256 or Ed25519 (${what})`;
  }
}
