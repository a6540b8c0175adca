import { Elysia } from "elysia";
import { Connection } from "../clients/connection.ts";
import { Problem } from "../errors.ts";
import type { Seat } from "../hub/local-channel.ts";
import type { Instance } from "./context.ts";
import { checkHandshake } from "./handshake.ts";
import { methodNotAllowed } from "./problems.ts";
import { parseHistoryQuery } from "./query.ts";
import { targetChannel, targetQuery } from "./target.ts";

const ROUTE = "/ws/";

/**
 * `GET /ws/<path>`: a WebSocket on a channel.
 *
 * An ordinary route that upgrades: Elysia's `.ws()` parses text before any hook sees it. Elysia hands the events of a socket to
 * the methods of its data, whoever made it, and this is the one place that leans on that.
 */
export function websocket(instance: Instance) {
  const { config, house } = instance;
  const { hub, connections } = house;
  return new Elysia({ name: "websocket" })
    .get(`${ROUTE}*`, async ({ request, server }) => {
      const address = server?.requestIP(request)?.address ?? "unknown";
      connections.admit(address);
      try {
        const target = targetChannel(request.url, ROUTE, config.kinds);
        const { from, hello } = parseHistoryQuery(targetQuery(request.url), target.kind);
        const headers = checkHandshake(request.headers);
        instance.accept();
        const seat = await hub.reserve(target, from);
        // From here to the upgrade nothing waits: what the seat promises holds for this turn only.
        try {
          instance.accept();
          const data = new Connection(house, target, seat, address, hello);
          if (server?.upgrade(request, { data, headers: { ...headers, ...positionHeaders(seat) } }) !== true)
            throw new Problem("malformed-request", "The connection cannot be upgraded.");
          return undefined;
        } catch (error) {
          hub.leave(seat);
          throw error;
        }
      } catch (error) {
        connections.release(address);
        throw error;
      }
    })
    .all(`${ROUTE}*`, methodNotAllowed("GET"));
}

/** Where what follows begins, and whether that is where the client wanted to go on. */
function positionHeaders({ position, resumed }: Seat): Record<string, string> {
  if (position === null) return {};
  return { "lockstep-position": position, ...(resumed === null ? {} : { "lockstep-resumed": String(resumed) }) };
}
