import { faults, Problem, type FaultName } from "../errors.ts";
import { describeError } from "../log.ts";
import type { HttpServer, Instance } from "./context.ts";
import { addressOf } from "./request/origins.ts";
import { badHost, targetPath } from "./request/target.ts";

/**
 * Turns an error into its answer, `application/problem+json` (RFC 9457), and counts and logs it. This is the only place that does.
 * An error that is no `Problem` is logged, and its answer shows nothing of it.
 *
 * @param code Elysia's name for the error, if it has one
 */
export function problemAnswer(instance: Instance, request: Request, server: HttpServer | null, code: unknown, error: unknown): Response {
  const { counts, log, refusals } = instance.sessions;
  const { origins, proxies } = instance.rules;
  const problem = asProblem(code, error, request);
  if (problem === undefined) log.error("a request failed", { method: request.method, error: describeError(error) });
  const { fault, message, subject, headers } = problem ?? new Problem("internal", "The server failed and logged the fault.");
  counts.refuse(fault);
  refusals.note({
    reason: fault,
    detail: message,
    subject,
    address: addressOf(request, server, proxies),
    where: `${request.method} ${targetPath(request.url)}`,
  });
  const { status, retryAfter } = faults[fault];
  const answer = new Headers({ ...origins.corsHeaders(request.headers), ...headers, "content-type": "application/problem+json" });
  if (retryAfter !== undefined) answer.set("retry-after", String(retryAfter));
  return new Response(JSON.stringify(problemBody(fault, message)), { status, headers: answer });
}

function asProblem(code: unknown, error: unknown, request: Request): Problem | undefined {
  if (error instanceof Problem) return error;
  return code === "NOT_FOUND" ? (badHost(request.url) ?? new Problem("no-route", "There is nothing at this path.")) : undefined;
}

/** The body of the answer to a fault. */
export function problemBody(fault: FaultName, detail: string): { type: string; title: string; status: number; detail: string } {
  const { title, status } = faults[fault];
  return { type: `urn:lockstep:problem:${fault}`, title, status, detail };
}

/**
 * Answers a method that a route does not take (RFC 9110 §15.5.6). A browser's preflight is one of them, and gets its answer.
 *
 * @throws Problem `wrong-method`, `foreign-origin`
 */
export function wrongMethod(instance: Instance, request: Request, allow: string): Response {
  const answer = instance.rules.origins.preflight(request, allow);
  if (answer !== undefined) return answer;
  throw new Problem("wrong-method", `This route takes ${allow} only.`, { allow });
}
