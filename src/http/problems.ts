import { Elysia } from "elysia";
import type { Counts } from "../counts.ts";
import { faults, Problem } from "../errors.ts";
import { describeError, type Log } from "../log.ts";
import { ANY_ORIGIN } from "./cors.ts";
import { badHost } from "./target.ts";

/** The one edge where errors become answers: `application/problem+json` (RFC 9457). What is no `Problem` is logged and shows nothing of itself. */
export function problems(log: Log, counts: Counts) {
  return new Elysia({ name: "problems" }).onError({ as: "global" }, ({ code, error, request }) => {
    const problem = asProblem(code, error, request);
    counts.refuse(problem.fault);
    return problemResponse(problem);
  });

  function asProblem(code: unknown, error: unknown, request: Request): Problem {
    if (error instanceof Problem) return error;
    if (code === "NOT_FOUND") return badHost(request.url) ?? new Problem("no-route", "There is nothing at this path.");
    log.error("a request failed", { method: request.method, error: describeError(error) });
    return new Problem("internal", "The server failed; the fault is logged.");
  }
}

function problemResponse(problem: Problem): Response {
  const { status, title, retryAfter } = faults[problem.fault];
  const headers = new Headers({ ...ANY_ORIGIN, ...problem.headers, "content-type": "application/problem+json" });
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
