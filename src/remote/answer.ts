import { Type } from "@sinclair/typebox";
import { Value } from "@sinclair/typebox/value";
import type { ChannelUrl, RemoteCredential } from "./channel-url.ts";

/** An answer other than success. */
export interface Refusal {
  readonly status: number;
  readonly body: string;
  /** Target of a redirect. */
  readonly location: string | undefined;
  /** Seconds from `Retry-After`. */
  readonly retryAfter: number | undefined;
}

const problemSchema = Type.Object({ title: Type.String(), detail: Type.String() });
const MAX_SHOWN = 300;
/** No answer of Lockstep is larger. */
export const MAX_ANSWER_BYTES = 65_536;

/** True if Lockstep itself answered, not a proxy before it. */
export function isOfLockstep({ body }: Refusal): boolean {
  return Value.Check(problemSchema, parseJson(body));
}

/** Describes a refusal and what to do about it, in one line. */
export function describeRefusal({ status, body, location, retryAfter }: Refusal, url: ChannelUrl, credential: RemoteCredential): string {
  const problem = parseJson(body);
  const description = Value.Check(problemSchema, problem)
    ? `${status} ${problem.title}: ${problem.detail}`
    : `${url.server} answered ${status}, and not as Lockstep does`;
  const advice = adviceOn(status, url, credential, location, retryAfter);
  return cut(advice === undefined ? description : `${description.replace(/\.$/, "")}; ${advice}`);
}

function adviceOn(
  status: number,
  { path }: ChannelUrl,
  { variable }: RemoteCredential,
  location: string | undefined,
  retryAfter: number | undefined,
): string | undefined {
  if (location !== undefined) return `it sends this to ${location.split(/[?#]/)[0]}: take that server's url`;
  if (status === 401) return variable === undefined ? "set LOCKSTEP_TOKEN or LOCKSTEP_API_KEY" : `${variable} was not taken: set another`;
  if (status === 403) return variable === undefined ? "set LOCKSTEP_TOKEN or LOCKSTEP_API_KEY" : `${variable} does not allow it`;
  if (status === 404) return `the path was ${JSON.stringify(path)}`;
  if (status === 426) return "a proxy before the server does not pass on upgrades";
  return retryAfter === undefined ? undefined : `try again in ${retryAfter} s`;
}

/** @returns undefined if the text is not JSON */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The url may lead to any server, which may answer anything. */
function cut(text: string): string {
  return text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}…` : text;
}

/** @returns seconds; undefined if the header is missing or a date */
export function parseRetryAfter(header: string | null | undefined): number | undefined {
  return header !== null && header !== undefined && /^[0-9]{1,5}$/.test(header) ? Number(header) : undefined;
}
