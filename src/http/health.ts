import { Elysia } from "elysia";
import { Problem } from "../errors.ts";
import type { Instance } from "./context.ts";
import { otherMethods } from "./problems.ts";
import { operation, type Responses } from "./reference/operation.ts";

/** `GET /livez`: the process turns. `GET /readyz`: clients may come. Where processes share a port, each answers for all. */
export function health(instance: Instance) {
  const { siblings } = instance;
  return new Elysia({ name: "health" })
    .get(
      "/livez",
      ({ request }) => {
        const { origins } = instance.rules;
        origins.require(request.headers);
        const answer = (): Response => Response.json({ status: "live" }, { headers: origins.corsHeaders(request.headers) });
        return siblings === undefined ? answer() : whenAll(siblings.live(), answer, "A worker does not answer.");
      },
      { detail: liveDetail },
    )
    .get(
      "/readyz",
      ({ request }) => {
        const { origins } = instance.rules;
        origins.require(request.headers);
        instance.accept();
        if (!instance.sessions.hub.bus.ready()) throw new Problem("bus-away", "The bus is away, or not every subscription is live.");
        const answer = (): Response => Response.json({ status: "ready" }, { headers: origins.corsHeaders(request.headers) });
        return siblings === undefined ? answer() : whenAll(siblings.ready(), answer, "A worker is not ready, or is being started.");
      },
      { detail: readyDetail },
    )
    .all("/livez", otherMethods(instance, "GET"))
    .all("/readyz", otherMethods(instance, "GET"));
}

/** @throws Problem `workers-away` */
async function whenAll(all: Promise<boolean>, answer: () => Response, otherwise: string): Promise<Response> {
  if (await all) return answer();
  throw new Problem("workers-away", otherwise);
}

const liveDetail = operation({
  operationId: "getLiveness",
  tags: ["Operators"],
  summary: "Whether the process turns",
  description: "Also while Redis is away, or the instance drains. Needs no token. Where processes share a port, it is for all of them.",
  security: [{}],
  answers: { 200: statusAnswer("It turns", "live") },
  refusals: ["workers-away"],
});

const readyDetail = operation({
  operationId: "getReadiness",
  tags: ["Operators"],
  summary: "Whether clients may come",
  description:
    "The bus is connected, every subscription that the instance needs is live, and it does not drain: what a load balancer asks. Needs no token. Where processes share a port, it is for all of them.",
  security: [{}],
  answers: { 200: statusAnswer("They may", "ready") },
  refusals: ["draining", "bus-away", "workers-away"],
});

function statusAnswer(description: string, status: string): Responses[string] {
  const properties = { status: { type: "string" as const, enum: [status] } };
  return {
    description,
    content: { "application/json": { schema: { type: "object", required: ["status"], properties }, example: { status } } },
  };
}
