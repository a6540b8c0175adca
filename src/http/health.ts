import { Elysia } from "elysia";
import { Problem } from "../errors.ts";
import type { Instance } from "./context.ts";
import { otherMethods } from "./problems.ts";

/** `GET /livez`: the process turns. `GET /readyz`: clients may come. */
export function health(instance: Instance) {
  return new Elysia({ name: "health" })
    .get("/livez", ({ request }) => {
      const { origins } = instance.rules;
      origins.require(request.headers);
      return Response.json({ status: "live" }, { headers: origins.corsHeaders(request.headers) });
    })
    .get("/readyz", ({ request }) => {
      const { origins } = instance.rules;
      origins.require(request.headers);
      instance.accept();
      if (!instance.house.hub.bus.ready) throw new Problem("bus-away", "The bus is away, or not every subscription is live.");
      return Response.json({ status: "ready" }, { headers: origins.corsHeaders(request.headers) });
    })
    .all("/livez", otherMethods(instance, "GET"))
    .all("/readyz", otherMethods(instance, "GET"));
}
