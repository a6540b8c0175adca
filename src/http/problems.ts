import { Elysia } from "elysia";
import { faults, Problem } from "../errors.ts";
import { describeError, type Log } from "../log.ts";

/** The one edge where errors become answers: `application/problem+json` (RFC 9457). What is no `Problem` is logged and shows nothing of itself. */
export function problems(log: Log) {
  return new Elysia({ name: "problems" }).onRequest(refuseBadHost).onError({ as: "global" }, ({ code, error, request }) => {
    if (error instanceof Problem) return problemResponse(error);
    if (code === "NOT_FOUND") return problemResponse(new Problem("no-route", "There is nothing at this path."));
    log.error("a request failed", { method: request.method, error: describeError(error) });
    return problemResponse(new Problem("internal", "The server failed; the fault is logged."));
  });
}

/** With a Host that is no authority Bun's url is the bare path, which Elysia reads wrongly; RFC 9112 §3.2 wants a 400. */
function refuseBadHost({ request }: { request: Request }): void {
  if (request.url.startsWith("/")) throw new Problem("malformed-request", "The Host header is empty or not valid.");
}

function problemResponse(problem: Problem): Response {
  const { status, title, retryAfter } = faults[problem.fault];
  const headers = new Headers({ ...problem.headers, "content-type": "application/problem+json" });
  if (retryAfter !== undefined) headers.set("retry-after", String(retryAfter));
  const body = { type: `urn:lockstep:problem:${problem.fault}`, title, status, detail: problem.message };
  return new Response(JSON.stringify(body), { status, headers });
}

/** The answer of a known route to another method (RFC 9110 §15.5.6). */
export function methodNotAllowed(allow: string): () => never {
  return () => {
    throw new Problem("wrong-method", `This route takes ${allow} only.`, { allow });
  };
}
