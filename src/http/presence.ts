import { Elysia } from "elysia";
import { Problem } from "../errors.ts";
import type { Instance } from "./context.ts";
import { ANY_ORIGIN } from "./cors.ts";
import { methodNotAllowed } from "./problems.ts";
import { targetChannel } from "./target.ts";

const ROUTE = "/presence/";

/** `GET /presence/<path>`: who is on a channel, cluster-wide. */
export function presence(instance: Instance) {
  const { config, house } = instance;
  return new Elysia({ name: "presence" })
    .get(`${ROUTE}*`, async ({ request }) => {
      const { kind, channel } = targetChannel(request.url, ROUTE, config.kinds);
      if (!kind.presence) throw new Problem("no-presence", "This channel does not tell who is on it.");
      const { count, members } = await house.hub.presence.present(channel);
      const answer = { channel, count, members: Array.from(members, ([id, connections]) => ({ id, connections })) };
      return Response.json(answer, { headers: ANY_ORIGIN });
    })
    .all(`${ROUTE}*`, methodNotAllowed("GET"));
}
