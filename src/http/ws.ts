import { Elysia } from "elysia";
import type { WebSocketHandler } from "bun";
import { Connection } from "../sessions/connection.ts";
import { Problem } from "../errors.ts";
import type { Limits } from "../config/config.ts";
import type { Seat } from "../hub/local-channel.ts";
import { admit, takePlace } from "./admission.ts";
import type { Instance } from "./context.ts";
import { checkHandshake } from "./handshake.ts";
import { otherMethods } from "./problems.ts";
import { parseHistoryQuery } from "./query.ts";
import { channelAccess, channelPath, channelRefusals, EXAMPLE_POSITION, optional, positionSchema, recent } from "./reference/channel.ts";
import { closeTable } from "./reference/introduction.ts";
import { header, operation, type Parameter } from "./reference/operation.ts";
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
    .get(
      `${ROUTE}*`,
      async ({ request, server }) => {
        const address = takePlace(instance, request, server);
        try {
          for (;;) {
            const { rules, target, principal } = await admit(instance, request, ROUTE, "join");
            const { from, hello } = parseHistoryQuery(targetQuery(request.url), target.kind);
            const headers = checkHandshake(request.headers);
            instance.accept();
            const seat = await hub.seating.reserve(target, from);
            // From here to the upgrade nothing waits: what the seat promises holds for this turn only.
            try {
              instance.accept();
              if (rules === instance.rules && !seat.moved) {
                const data = new Connection(house, seat, { address, principal }, rules.policy, hello);
                if (server?.upgrade(request, { data, headers: { ...headers, ...positionHeaders(seat) } }) === true) return undefined;
                throw new Problem("malformed-request", "The connection cannot be upgraded.");
              }
            } catch (error) {
              hub.seating.leave(seat);
              throw error;
            }
            // Other rules hold by now: it begins anew.
            hub.seating.leave(seat);
          }
        } catch (error) {
          connections.release(address);
          throw error;
        }
      },
      { detail },
    )
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
    close: (socket, code) => socket.data.close(socket, code),
  };
}

/** Where what follows begins, and whether that is where the client wanted to go on. */
function positionHeaders({ position, resumed }: Seat): Record<string, string> {
  if (position === null) return {};
  return { "lockstep-position": position, ...(resumed === null ? {} : { "lockstep-resumed": String(resumed) }) };
}

const detail = operation({
  operationId: "joinByWebSocket",
  tags: ["Clients"],
  summary: "Join a channel by WebSocket",
  description: `Each frame that you send is published; each message of the channel arrives as one frame of the same kind (text or binary), byte for byte, to its sender too: that echo
is the receipt. Once your \`open\` event has fired, nothing published from then on is missed. A refused upgrade is an HTTP error, never an open socket that closes.

The server pings, and cuts a client that was silent for two intervals (of 25 s each, unless it is told otherwise).

| frame | what it is |
|---|---|
| the first one, with \`?hello=1\` | text: \`${JSON.stringify({ position: EXAMPLE_POSITION, resumed: true })}\`, as the headers of the answer say it, which browsers do not show |
| every other one | a message. On a channel with history its offset is that of the one before it, plus one |

The server never leaves you open with a gap, unless the channel is configured to ignore them: you get every message of the channel in order, or it closes, with nothing between
the gap and the close:

${closeTable}
The reason is a position on channels with history only.`,
  security: [...channelAccess, { tokenInSubprotocol: [] }],
  parameters: [
    channelPath,
    handshake("Upgrade", "websocket"),
    handshake("Connection", "Upgrade"),
    handshake("Sec-WebSocket-Version", "13"),
    handshake("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    optional(
      "header",
      "Sec-WebSocket-Protocol",
      "None is needed. Of those offered `lockstep` has to be one; beside it may stand `lockstep.token.<token>`.",
      { type: "string" },
      "lockstep",
    ),
    optional(
      "query",
      "since",
      "First replays all messages after this position. Not with `recent`; 400 on a channel without history.",
      positionSchema,
      EXAMPLE_POSITION,
    ),
    recent,
    optional(
      "query",
      "hello",
      "1: the first frame says where what follows begins. 400 on a channel without history.",
      { type: "string", enum: ["0", "1"], default: "0" },
      "1",
    ),
  ],
  answers: {
    101: {
      description: "You are on the channel",
      headers: {
        "Lockstep-Position": header("Where what follows begins, on a channel with history", EXAMPLE_POSITION, { schema: positionSchema }),
        "Lockstep-Resumed": header("With `since`: `false` where messages may be missing before what follows", "true", {
          schema: { type: "string", enum: ["true", "false"] },
        }),
        "Sec-WebSocket-Protocol": header("Where it was offered", "lockstep"),
      },
    },
  },
  refusals: [
    "too-many-connections",
    "too-many-connections-of-address",
    ...channelRefusals,
    "upgrade-required",
    "unknown-subprotocol",
    "draining",
    "bus-away",
  ],
});

/** A header that every client of WebSockets sends (RFC 6455 §4.1). */
function handshake(name: string, example: string): Parameter {
  return { in: "header", name, required: true, schema: { type: "string" }, example };
}
