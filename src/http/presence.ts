import { Elysia } from "elysia";
import { Problem } from "../errors.ts";
import type { Instance } from "./context.ts";
import { credentialOf } from "./credential.ts";
import { otherMethods } from "./problems.ts";
import { targetChannel } from "./target.ts";

const ROUTE = "/presence/";

/** `GET /presence/<path>`: who is on a channel, cluster-wide. */
export function presence(instance: Instance) {
  const { house } = instance;
  return new Elysia({ name: "presence" })
    .get(`${ROUTE}*`, async ({ request }) => {
      const { config, access, origins } = instance.rules;
      origins.require(request.headers);
      const target = targetChannel(request.url, ROUTE, config.kinds);
      const { kind, channel } = target;
      if (!kind.presence) throw new Problem("no-presence", "This channel does not tell who is on it.");
      access.requireJoin(await access.identify(credentialOf(request)), target);
      const { count, members } = await house.hub.presence.present(channel);
      const answer = { channel, count, members: Array.from(members, ([id, connections]) => ({ id, connections })) };
      return Response.json(answer, { headers: origins.corsHeaders(request.headers) });
    })
    .all(`${ROUTE}*`, otherMethods(instance, "GET"));
}
