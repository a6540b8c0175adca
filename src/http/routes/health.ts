import { Problem } from "../../errors.ts";
import type { Instance } from "../context.ts";

/** `GET /livez`: the process responds. If processes share a port, each of them answers for all. */
export async function getLiveness(instance: Instance, request: Request): Promise<Response> {
  const { origins } = instance.rules;
  origins.require(request.headers);
  if ((await instance.siblings?.live()) === false) throw new Problem("workers-away", "A worker does not answer.");
  return Response.json({ status: "live" }, { headers: origins.corsHeaders(request.headers) });
}

/**
 * `GET /readyz`: clients may connect. If processes share a port, each of them answers for all.
 *
 * @throws Problem `draining`, `bus-away`, `workers-away`
 */
export async function getReadiness(instance: Instance, request: Request): Promise<Response> {
  const { rules, sessions, siblings } = instance;
  const { origins } = rules;
  origins.require(request.headers);
  instance.accept();
  if (!sessions.hub.bus.ready()) throw new Problem("bus-away", "The bus is away, or not every subscription is live.");
  if ((await siblings?.ready()) === false) throw new Problem("workers-away", "A worker is not ready, or is starting.");
  return Response.json({ status: "ready" }, { headers: origins.corsHeaders(request.headers) });
}
