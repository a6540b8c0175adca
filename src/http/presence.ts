import { Elysia } from "elysia";
import type { Target } from "../channels/kind.ts";
import { Problem } from "../errors.ts";
import { presenceOf } from "../bus/abilities.ts";
import { admit } from "./admission.ts";
import type { Instance } from "./context.ts";
import { otherMethods } from "./problems.ts";

const ROUTE = "/presence/";

/** `GET /presence/<path>`: who is on a channel, cluster-wide. */
export function presence(instance: Instance) {
  const { hub } = instance.sessions;
  return new Elysia({ name: "presence" })
    .get(`${ROUTE}*`, async ({ request }) => {
      instance.rules.origins.require(request.headers);
      const { rules, target } = await admit(instance, request, ROUTE, "join", requirePresence);
      const { channel } = target;
      const { count, members } = await presenceOf(hub.bus).members(channel);
      const answer = { channel, count, members: Array.from(members, ([id, { connections }]) => ({ id, connections })) };
      return Response.json(answer, { headers: rules.origins.corsHeaders(request.headers) });
    })
    .all(`${ROUTE}*`, otherMethods(instance, "GET"));
}

/** @throws Problem `no-presence` */
function requirePresence({ kind }: Target): void {
  if (!kind.presence) throw new Problem("no-presence", "This channel does not tell who is on it.");
}
