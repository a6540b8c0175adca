import { Elysia } from "elysia";
import type { WebSocketHandler } from "bun";
import { Connection } from "../clients/connection.ts";
import { Problem } from "../errors.ts";
import type { Limits } from "../config/config.ts";
import type { Seat } from "../hub/local-channel.ts";
import { admit, takePlace } from "./admission.ts";
import type { Instance } from "./context.ts";
import { checkHandshake } from "./handshake.ts";
import { otherMethods } from "./problems.ts";
import { parseHistoryQuery } from "./query.ts";
import { targetQuery } from "./target.ts";

const ROUTE = "/ws/";

/**
 * `GET /ws/<path>`: a WebSocket on a channel.
 *
 * An ordinary route that upgrades: Elysia's `.ws()` parses text before any hook sees it.
 */
export function websocket(instance: Instance) {
  const { house } = instance;
  const { hub, connections } = house;
  return new Elysia({ name: "websocket" })
    .get(`${ROUTE}*`, async ({ request, server }) => {
      const address = takePlace(instance, request, server);
      try {
        for (;;) {
          const { rules, target, caller } = await admit(instance, request, ROUTE, "join");
          const { from, hello } = parseHistoryQuery(targetQuery(request.url), target.kind);
          const headers = checkHandshake(request.headers);
          instance.accept();
          const seat = await hub.reserve(target, from);
          // From here to the upgrade nothing waits: what the seat promises holds for this turn only.
          try {
            instance.accept();
            if (rules === instance.rules && !seat.moved) {
              const data = new Connection(house, seat, { address, caller }, rules.access, hello);
              if (server?.upgrade(request, { data, headers: { ...headers, ...positionHeaders(seat) } }) === true) return undefined;
              throw new Problem("malformed-request", "The connection cannot be upgraded.");
            }
          } catch (error) {
            hub.leave(seat);
            throw error;
          }
          // Other rules hold by now: it begins anew.
          hub.leave(seat);
        }
      } catch (error) {
        connections.release(address);
        throw error;
      }
    })
    .all(`${ROUTE}*`, otherMethods(instance, "GET"));
}

/** What Bun does for sockets, and whom it tells: the connection that was given to `upgrade`. */
export function socketEvents({ maxMessageBytes }: Limits): WebSocketHandler<Connection> {
  return {
    maxPayloadLength: maxMessageBytes,
    // Slow readers are found by the hub's look at their backlogs, dead ones by own pings: Bun's limit drops in silence,
    // and its time-out never comes on a busy channel.
    backpressureLimit: 0,
    idleTimeout: 0,
    sendPings: false,
    perMessageDeflate: false,
    open: (socket) => socket.data.open(socket),
    message: (socket, message) => socket.data.message(socket, message),
    drain: (socket) => socket.data.drain(),
    ping: (socket) => socket.data.ping(),
    pong: (socket) => socket.data.pong(),
    close: (socket, code, reason) => socket.data.close(socket, code, reason),
  };
}

/** Where what follows begins, and whether that is where the client wanted to go on. */
function positionHeaders({ position, resumed }: Seat): Record<string, string> {
  if (position === null) return {};
  return { "lockstep-position": position, ...(resumed === null ? {} : { "lockstep-resumed": String(resumed) }) };
}
