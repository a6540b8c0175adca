import { Type } from "@sinclair/typebox";
import { Value } from "@sinclair/typebox/value";
import { repeat, type Outcome } from "../../client/reconnect.ts";
import { readAtMost } from "../lib/bounds.ts";
import type { Message } from "../message.ts";
import { describeRefusal, isOfLockstep, MAX_ANSWER_BYTES, parseJson, parseRetryAfter, type Refusal } from "./answer.ts";
import type { ChannelUrl, RemoteCredential } from "./channel-url.ts";

/** A server remembers a key for 60 s; a later repeat could publish a second time. */
const REPEAT_WITHIN_MS = 45_000;
const UNREACHABLE = new Set(["ConnectionRefused", "FailedToOpenSocket", "ECONNREFUSED", "ENOTFOUND", "EHOSTUNREACH", "ENETUNREACH"]);
/** Codes of TLS faults, which happen before anything is sent. */
const INSECURE = /CERT|^ERR_TLS|^UNABLE_TO_|^EPROTO$/;

const publishedSchema = Type.Object({ channel: Type.String(), id: Type.Union([Type.String(), Type.Null()]) });

/** The Redis channel of a published message, and its position on a channel with history. */
export interface Published {
  readonly channel: string;
  readonly id: string | null;
}

export interface Publishing {
  readonly url: ChannelUrl;
  readonly credential: RemoteCredential;
  readonly message: Message;
  /** Allows repeats after a failure on the way: the server publishes once for a key. */
  readonly idempotencyKey: string | undefined;
  /** Limit for all attempts together, in milliseconds. */
  readonly timeoutMs: number;
}

/** One attempt: published, or why not. */
type Attempt = Outcome & ({ readonly published: Published } | { readonly why: string });

/**
 * Publishes on a remote server.
 *
 * @param repeatWithinMs limit for the start of a repeat
 * @throws Error that says in one line what is known
 */
export async function publishThere(publishing: Publishing, repeatWithinMs = REPEAT_WITHIN_MS): Promise<Published> {
  const { idempotencyKey, timeoutMs } = publishing;
  const signal = AbortSignal.timeout(timeoutMs);
  const once = (): Promise<Attempt> => attempt(publishing, signal);
  const last = await (idempotencyKey === undefined ? once() : repeat(once, Date.now() + Math.min(timeoutMs, repeatWithinMs)));
  if ("published" in last) return last.published;
  throw new Error(last.why);
}

async function attempt({ url, credential, message, idempotencyKey, timeoutMs }: Publishing, signal: AbortSignal): Promise<Attempt> {
  const headers = {
    ...credential.headers,
    "content-type": typeof message === "string" ? "text/plain;charset=utf-8" : "application/octet-stream",
    ...(idempotencyKey === undefined ? {} : { "idempotency-key": idempotencyKey }),
  };
  let refusal: Refusal;
  try {
    // A redirect would turn the POST into a GET, or send the credential to another server.
    const body = typeof message === "string" ? message : new Uint8Array(message);
    const response = await fetch(url.publish, { method: "POST", headers, body, redirect: "manual", signal });
    const answer = (await readAtMost(response.body, MAX_ANSWER_BYTES))?.toString() ?? "";
    const published = response.status === 200 ? parseJson(answer) : undefined;
    if (Value.Check(publishedSchema, published)) return { published: { channel: published.channel, id: published.id }, passing: false };
    refusal = {
      status: response.status,
      body: answer,
      location: response.headers.get("location") ?? undefined,
      retryAfter: parseRetryAfter(response.headers.get("retry-after")),
    };
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    if (signal.aborted)
      return { why: `${url.server} did not answer within ${timeoutMs} ms; the message may arrive all the same`, passing: false };
    if (INSECURE.test(code)) return { why: `cannot speak securely with ${url.server} (${code})`, passing: false };
    if (UNREACHABLE.has(code)) return { why: `cannot connect to ${url.server} (${code})`, passing: true };
    return { why: `the connection to ${url.server} broke (${code}); the message may have arrived`, passing: true };
  }
  const { status, retryAfter: retryAfterS } = refusal;
  const why = describeRefusal(refusal, url, credential);
  // A proxy before the server may have passed the message on.
  if (status >= 500 && !isOfLockstep(refusal)) return { why: `${why}; the message may have arrived`, passing: true, retryAfterS };
  return { why, passing: status === 503, retryAfterS };
}
