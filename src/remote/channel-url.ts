import { parsePath } from "../channels/path.ts";
import { Problem, UsageError } from "../errors.ts";

/** A channel of a remote server. */
export interface ChannelUrl {
  /** Origin, for messages to people; holds no secrets. */
  readonly server: string;
  readonly path: string;
  readonly publish: string;
  readonly socket: string;
}

const SHAPE = /^(http|https|ws|wss):\/\/([^/?#\\]+)\/([^?#]*)([?#]?)/i;
const EXAMPLE = "http://localhost:9001/rooms/lobby";

/**
 * Reads `http://host:port/<path>`, or the `/ws/<path>` of it. Its errors never repeat the input, which may hold a token.
 *
 * @throws UsageError
 */
export function parseChannelUrl(text: string): ChannelUrl {
  const [, scheme = "", authority = "", rest = "", mark] = SHAPE.exec(text) ?? [];
  if (scheme === "") throw new UsageError(`a url looks like ${EXAMPLE}`);
  if (authority.includes("@")) throw new UsageError("a url holds no credentials; they come from LOCKSTEP_TOKEN or LOCKSTEP_API_KEY");
  if (mark !== "") throw new UsageError("a url ends with the channel's path, without ? or #; credentials come from LOCKSTEP_TOKEN");
  const secure = /^(?:https|wss)$/i.test(scheme);
  const origin = `${secure ? "https" : "http"}://${authority}`;
  if (!URL.canParse(origin)) throw new UsageError(`the host or the port of the url is wrong; it looks like ${EXAMPLE}`);
  const path = encodedPath(rest.startsWith("ws/") ? rest.slice("ws/".length) : rest);
  const server = new URL(origin).origin;
  return {
    server,
    path,
    publish: `${server}/publish/${path}`,
    socket: `${server.replace(/^http/, "ws")}/ws/${path}`,
  };
}

/** Decodes and encodes each segment, so that every character that needs an escape has one, once. */
function encodedPath(raw: string): string {
  if (raw === "") throw new UsageError(`the url names no channel; it looks like ${EXAMPLE}`);
  try {
    return parsePath(raw).map(encodeURIComponent).join("/");
  } catch (error) {
    if (error instanceof Problem) throw new UsageError(`the path of the url is wrong: ${error.message}`);
    throw error;
  }
}

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
