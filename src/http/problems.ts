import { Elysia } from "elysia";
import { faults, Problem, type FaultName } from "../errors.ts";
import { describeError } from "../log.ts";
import { addressOf } from "./address.ts";
import type { Instance } from "./context.ts";
import { badHost, targetPath } from "./target.ts";

/** The one edge where errors become answers: `application/problem+json` (RFC 9457). What is no `Problem` is logged and shows nothing of itself. */
export function problems(instance: Instance) {
  const { counts, log, refusals } = instance.sessions;
  return new Elysia({ name: "problems" }).onError({ as: "global" }, ({ code, error, request, server }) => {
    const problem = asProblem(code, error, request);
    const { origins, proxies } = instance.rules;
    counts.refuse(problem.fault);
    refusals.note({
      reason: problem.fault,
      detail: problem.message,
      subject: problem.subject,
      address: addressOf(request, server, proxies),
      where: `${request.method} ${targetPath(request.url)}`,
    });
    return problemResponse(problem, origins.corsHeaders(request.headers));
  });

  function asProblem(code: unknown, error: unknown, request: Request): Problem {
    if (error instanceof Problem) return error;
    if (code === "NOT_FOUND") return badHost(request.url) ?? new Problem("no-route", "There is nothing at this path.");
    log.error("a request failed", { method: request.method, error: describeError(error) });
    return new Problem("internal", "The server failed; the fault is logged.");
  }
}

function problemResponse(problem: Problem, cors: Record<string, string>): Response {
  const { status, retryAfter } = faults[problem.fault];
  const headers = new Headers({ ...cors, ...problem.headers, "content-type": "application/problem+json" });
  if (retryAfter !== undefined) headers.set("retry-after", String(retryAfter));
  return new Response(JSON.stringify(problemBody(problem.fault, problem.message)), { status, headers });
}

/** What the answer to a fault says. */
export function problemBody(fault: FaultName, detail: string): { type: string; title: string; status: number; detail: string } {
  const { title, status } = faults[fault];
  return { type: `urn:lockstep:problem:${fault}`, title, status, detail };
}

/** The answer of a known route to another method (RFC 9110 §15.5.6), or to a browser that asks before it sends one. */
export function otherMethods(instance: Instance, allow: string): (context: { request: Request }) => Response {
  return ({ request }) => {
    const answer = instance.rules.origins.preflight(request, allow);
    if (answer !== undefined) return answer;
    throw new Problem("wrong-method", `This route takes ${allow} only.`, { allow });
  };
}
