import { presenceOf } from "../../bus/abilities.ts";
import type { Target } from "../../channels/kind.ts";
import { Problem } from "../../errors.ts";
import { authorize } from "../authorize.ts";
import type { Instance } from "../context.ts";

/** `GET /presence/<path>`: lists who is on a channel, on all instances. */
export async function getPresence(instance: Instance, request: Request): Promise<Response> {
  instance.rules.origins.require(request.headers);
  const { rules, target } = await authorize(instance, request, "join", requirePresence);
  const { channel } = target;
  const { count, members } = await presenceOf(instance.sessions.hub.bus).members(channel);
  const answer = { channel, count, members: Array.from(members, ([id, { connections }]) => ({ id, connections })) };
  return Response.json(answer, { headers: rules.origins.corsHeaders(request.headers) });
}

/** @throws Problem `no-presence` */
function requirePresence({ kind }: Target): void {
  if (!kind.presence) throw new Problem("no-presence", "This channel does not tell who is on it.");
}
