import { Elysia } from "elysia";
import { Problem } from "../errors.ts";
import type { Instance } from "./context.ts";
import { otherMethods } from "./problems.ts";

/** `GET /livez`: the process turns. `GET /readyz`: clients may come. Where processes share a port, each answers for all. */
export function health(instance: Instance) {
  const { siblings } = instance;
  return new Elysia({ name: "health" })
    .get("/livez", ({ request }) => {
      const { origins } = instance.rules;
      origins.require(request.headers);
      const answer = (): Response => Response.json({ status: "live" }, { headers: origins.corsHeaders(request.headers) });
      return siblings === undefined ? answer() : whenAll(siblings.live(), answer, "A worker does not answer.");
    })
    .get("/readyz", ({ request }) => {
      const { origins } = instance.rules;
      origins.require(request.headers);
      instance.accept();
      if (!instance.sessions.hub.bus.ready()) throw new Problem("bus-away", "The bus is away, or not every subscription is live.");
      const answer = (): Response => Response.json({ status: "ready" }, { headers: origins.corsHeaders(request.headers) });
      return siblings === undefined ? answer() : whenAll(siblings.ready(), answer, "A worker is not ready, or is being started.");
    })
    .all("/livez", otherMethods(instance, "GET"))
    .all("/readyz", otherMethods(instance, "GET"));
}

/** @throws Problem `workers-away` */
async function whenAll(all: Promise<boolean>, answer: () => Response, otherwise: string): Promise<Response> {
  if (await all) return answer();
  throw new Problem("workers-away", otherwise);
}
