import { Type } from "@sinclair/typebox";
import { Value } from "@sinclair/typebox/value";
import { readAtMost } from "../lib/read-at-most.ts";
import type { Message } from "../message.ts";
import { describeRefusal, isOfLockstep, MAX_ANSWER_BYTES, parseJson, parseRetryAfter, type Refusal } from "./answer.ts";
import { BackOff } from "./back-off.ts";
import type { ChannelUrl } from "./channel-url.ts";
import type { RemoteCredential } from "./credential.ts";

/** A server knows a key for 60 s; a repeat that may come later could publish a second time. */
const REPEAT_WITHIN_MS = 45_000;
const UNREACHABLE = new Set(["ConnectionRefused", "FailedToOpenSocket", "ECONNREFUSED", "ENOTFOUND", "EHOSTUNREACH", "ENETUNREACH"]);

/** Of TLS, which stands before anything is sent. */
const INSECURE = /CERT|^ERR_TLS|^UNABLE_TO_|^EPROTO$/;

const publishedSchema = Type.Object({ channel: Type.String(), id: Type.Union([Type.String(), Type.Null()]) });

/** Where a message has gone: the channel of the bus, and its position there, on a channel with history. */
export interface Published {
  readonly channel: string;
  readonly id: string | null;
}

export interface Publishing {
  readonly url: ChannelUrl;
  readonly credential: RemoteCredential;
  readonly message: Message;
  /** With it what failed on the way is tried again: the server publishes once for a key. */
  readonly idempotencyKey: string | undefined;
  /** For all attempts together, in milliseconds. */
  readonly timeoutMs: number;
}

/** An attempt that failed. */
interface Failure {
  readonly why: string;
  readonly passing: boolean;
  readonly afterS?: number | undefined;
}

/**
 * Publishes on a server elsewhere.
 *
 * @param repeatWithinMs how long it may be tried again
 * @throws Error that says in one line what is known
 */
export async function publishThere(publishing: Publishing, repeatWithinMs = REPEAT_WITHIN_MS): Promise<Published> {
  const { idempotencyKey, timeoutMs } = publishing;
  const startedMs = Date.now();
  const signal = AbortSignal.timeout(timeoutMs);
  const backOff = new BackOff();
  const lastMs = startedMs + Math.min(timeoutMs, repeatWithinMs);
  for (;;) {
    const outcome = await attempt(publishing, signal);
    if ("channel" in outcome) return outcome;
    const waitMs = Math.max((outcome.afterS ?? 0) * 1000, backOff.next(false));
    if (idempotencyKey === undefined || !outcome.passing || Date.now() + waitMs >= lastMs) throw new Error(outcome.why);
    await new Promise((resolve) => setTimeout(resolve, waitMs));
  }
}

async function attempt(
  { url, credential, message, idempotencyKey, timeoutMs }: Publishing,
  signal: AbortSignal,
): Promise<Published | Failure> {
  const headers = {
    ...credential.headers,
    "content-type": typeof message === "string" ? "text/plain;charset=utf-8" : "application/octet-stream",
    ...(idempotencyKey === undefined ? {} : { "idempotency-key": idempotencyKey }),
  };
  let refusal: Refusal;
  try {
    // A redirect would turn it into a GET, or take the credential to another server.
    const body = typeof message === "string" ? message : new Uint8Array(message);
    const response = await fetch(url.publish, { method: "POST", headers, body, redirect: "manual", signal });
    const answer = (await readAtMost(response.body, MAX_ANSWER_BYTES))?.toString() ?? "";
    const published = response.status === 200 ? parseJson(answer) : undefined;
    if (Value.Check(publishedSchema, published)) return { channel: published.channel, id: published.id };
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
  const { status, retryAfter: afterS } = refusal;
  const why = describeRefusal(refusal, url, credential);
  // What stands before the server may have passed it on.
  if (status >= 500 && !isOfLockstep(refusal)) return { why: `${why}; the message may have arrived`, passing: true, afterS };
  return { why, passing: status === 503, afterS };
}
