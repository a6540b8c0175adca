import { UsageError } from "../errors.ts";

const VARIABLES = ["LOCKSTEP_TOKEN", "LOCKSTEP_API_KEY"] as const;
/** What may stand in a header (RFC 9110 §5.5), without spaces. */
const SOUND = /^[\x21-\x7e]+$/;

/** Who this is, for a server elsewhere. */
export interface RemoteCredential {
  /** The variable that it comes from. */
  readonly variable: string | undefined;
  readonly headers: Readonly<Record<string, string>>;
}

/**
 * The first of both variables that says something, as a Bearer token (RFC 6750 §2.1): a url would be seen by every proxy's log.
 *
 * @throws UsageError, without the value
 */
export function remoteCredential(env: Readonly<Record<string, string | undefined>>): RemoteCredential {
  for (const variable of VARIABLES) {
    const value = env[variable]?.trim() ?? "";
    if (value === "") continue;
    if (!SOUND.test(value)) throw new UsageError(`${variable} holds what no token and no key has: spaces, or characters beyond ASCII`);
    return { variable, headers: { authorization: `Bearer ${value}` } };
  }
  return { variable: undefined, headers: {} };
}
