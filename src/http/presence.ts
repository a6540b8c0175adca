import { Elysia } from "elysia";
import type { Target } from "../channels/kind.ts";
import { Problem } from "../errors.ts";
import { presenceOf } from "../bus/abilities.ts";
import { admit } from "./admission.ts";
import type { Instance } from "./context.ts";
import { otherMethods } from "./problems.ts";
import { channelAccess, channelName, channelPath, channelRefusals, EXAMPLE_CHANNEL } from "./reference/channel.ts";
import { operation } from "./reference/operation.ts";

const ROUTE = "/presence/";

/** `GET /presence/<path>`: who is on a channel, cluster-wide. */
export function presence(instance: Instance) {
  const { hub } = instance.sessions;
  return new Elysia({ name: "presence" })
    .get(
      `${ROUTE}*`,
      async ({ request }) => {
        instance.rules.origins.require(request.headers);
        const { rules, target } = await admit(instance, request, ROUTE, "join", requirePresence);
        const { channel } = target;
        const { count, members } = await presenceOf(hub.bus).members(channel);
        const answer = { channel, count, members: Array.from(members, ([id, { connections }]) => ({ id, connections })) };
        return Response.json(answer, { headers: rules.origins.corsHeaders(request.headers) });
      },
      { detail },
    )
    .all(`${ROUTE}*`, otherMethods(instance, "GET"));
}

/** @throws Problem `no-presence` */
function requirePresence({ kind }: Target): void {
  if (!kind.presence) throw new Problem("no-presence", "This channel does not tell who is on it.");
}

const detail = operation({
  operationId: "getPresence",
  tags: ["Backends"],
  summary: "Who is on a channel",
  description: "On all instances, by WebSocket or as event stream.",
  security: channelAccess,
  parameters: [channelPath],
  answers: {
    200: {
      description: "Connections, and whose they are",
      content: {
        "application/json": {
          schema: {
            type: "object",
            required: ["channel", "count", "members"],
            properties: {
              channel: channelName,
              count: { type: "integer", minimum: 0, description: "Connections, those without a subject too" },
              members: {
                type: "array",
                items: {
                  type: "object",
                  required: ["id", "connections"],
                  properties: {
                    id: { type: "string", description: "The `sub` of their tokens" },
                    connections: { type: "integer", minimum: 1 },
                  },
                },
              },
            },
          },
          example: { channel: EXAMPLE_CHANNEL, count: 3, members: [{ id: "alice", connections: 2 }] },
        },
      },
    },
  },
  refusals: [...channelRefusals, "no-presence", "bus-away"],
});
