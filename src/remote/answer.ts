import { Type } from "@sinclair/typebox";
import { Value } from "@sinclair/typebox/value";
import type { ChannelUrl } from "./channel-url.ts";
import type { RemoteCredential } from "./credential.ts";

/** An answer that is no success, as it came. */
export interface Refusal {
  readonly status: number;
  readonly body: string;
  /** Where it sends the request to, if anywhere. */
  readonly location: string | undefined;
  /** Seconds from `Retry-After`. */
  readonly retryAfter: number | undefined;
}

const problemSchema = Type.Object({ title: Type.String(), detail: Type.String() });
const MAX_SHOWN = 300;
/** More is never an answer of Lockstep's. */
export const MAX_ANSWER_BYTES = 65_536;

/** Whether Lockstep itself answered, and not something before it. */
export function isOfLockstep({ body }: Refusal): boolean {
  return Value.Check(problemSchema, parseJson(body));
}

/** What a server said no with, and what to do about it, in one line. */
export function describeRefusal({ status, body, location, retryAfter }: Refusal, url: ChannelUrl, credential: RemoteCredential): string {
  const problem = parseJson(body);
  const said = Value.Check(problemSchema, problem)
    ? `${status} ${problem.title}: ${problem.detail}`
    : `${url.server} answered ${status}, and not as Lockstep does`;
  const advice = adviceOn(status, url, credential, location, retryAfter);
  return cut(advice === undefined ? said : `${said.replace(/\.$/, "")}; ${advice}`);
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
  if (status === 426) return "something before the server does not pass on upgrades";
  return retryAfter === undefined ? undefined : `try again in ${retryAfter} s`;
}

/** JSON of an answer, or undefined. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** A server may be anybody's, and say anything. */
function cut(text: string): string {
  return text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}…` : text;
}

/** @returns seconds, or undefined where it is a date or nothing */
export function parseRetryAfter(header: string | null | undefined): number | undefined {
  return header !== null && header !== undefined && /^[0-9]{1,5}$/.test(header) ? Number(header) : undefined;
}
