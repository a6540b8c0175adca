import { Elysia } from "elysia";
import { Connection, type ConnectionHouse } from "../connection.ts";
import { Problem } from "../errors.ts";
import type { Instance } from "./context.ts";
import { checkHandshake } from "./handshake.ts";
import { methodNotAllowed } from "./problems.ts";
import { targetChannel, targetQuery } from "./target.ts";

const ROUTE = "/ws/";
const HISTORY_ONLY = ["since", "recent", "hello"];

/**
 * `GET /ws/<path>`: a WebSocket on a channel.
 *
 * An ordinary route that upgrades: Elysia's `.ws()` parses text before any hook sees it. Elysia hands the events of a socket to
 * the methods of its data, whoever made it, and this is the one place that leans on that.
 */
export function websocket(instance: Instance) {
  const { config, log, hub, connections } = instance;
  const { messagesPerSecond, slowConsumerBytes } = config.limits;
  const house: ConnectionHouse = { hub, connections, messagesPerSecond, slowConsumerBytes, log };
  return new Elysia({ name: "websocket" })
    .get(`${ROUTE}*`, async ({ request, server }) => {
      const address = server?.requestIP(request)?.address ?? "unknown";
      connections.admit(address);
      try {
        const { kind, channel } = targetChannel(request.url, ROUTE, config.kinds);
        checkQuery(request.url);
        const headers = checkHandshake(request.headers);
        instance.accept();
        const seat = await hub.reserve(channel);
        // From here to the upgrade nothing waits: what the seat promises holds for this turn only.
        try {
          instance.accept();
          const data = new Connection(house, kind, seat, address);
          if (server?.upgrade(request, { data, headers }) !== true)
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

function checkQuery(url: string): void {
  const query = targetQuery(url);
  for (const name of HISTORY_ONLY) {
    if (query.has(name)) throw new Problem("malformed-request", `This channel keeps no history, so it takes no ${name}.`);
  }
}
