import { UsageError } from "../errors.ts";

const VARIABLES = ["LOCKSTEP_TOKEN", "LOCKSTEP_API_KEY"] as const;
/** Characters of a header value (RFC 9110 §5.5), without spaces. */
const SOUND = /^[\x21-\x7e]+$/;

/** Credential for a remote server. */
export interface RemoteCredential {
  /** The environment variable that holds it. */
  readonly variable: string | undefined;
  readonly headers: Readonly<Record<string, string>>;
}

/**
 * Reads the first variable that is not empty, as a Bearer token (RFC 6750 §2.1): a url would end up in the log of every proxy.
 *
 * @throws UsageError, without the value
 */
export function remoteCredential(env: Readonly<Record<string, string | undefined>>): RemoteCredential {
  for (const variable of VARIABLES) {
    const value = env[variable]?.trim() ?? "";
    if (value === "") continue;
    if (!SOUND.test(value)) throw new UsageError(`${variable} holds spaces or characters beyond ASCII, which no token and no key has`);
    return { variable, headers: { authorization: `Bearer ${value}` } };
  }
  return { variable: undefined, headers: {} };
}
