import { Elysia } from "elysia";
import { Problem } from "../errors.ts";
import type { Subscription } from "../hub/subscription.ts";
import { Session } from "../sessions/session.ts";
import { WebSocketTransport } from "../sessions/transports/websocket.ts";
import type { Peers } from "./address.ts";
import { admit, stillHolds, takePlace } from "./admission.ts";
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
  return new Elysia({ name: "websocket" })
    .get(
      `${ROUTE}*`,
      async ({ request, server }) => {
        const address = takePlace(instance, request, server);
        try {
          // A reload may lead the path to another channel while the client joins: then it joins that one.
          if ((await join(instance, request, server, address)) || (await join(instance, request, server, address))) return undefined;
          throw new Problem("gap", "The configuration was changed while the client joined; it may try again.");
        } catch (error) {
          instance.sessions.registry.release(address);
          throw error;
        }
      },
      { detail },
    )
    .all(`${ROUTE}*`, otherMethods(instance, "GET"));
}

/** Returns false where a reload has led the path elsewhere. */
async function join(instance: Instance, request: Request, server: Upgrader | null, address: string): Promise<boolean> {
  const { sessions, protocols } = instance;
  const { hub, registry } = sessions;
  const admission = await admit(instance, request, ROUTE, "join");
  const { target, principal } = admission;
  const { from, hello } = parseHistoryQuery(targetQuery(request.url), target.kind);
  const headers = checkHandshake(request.headers);
  instance.accept();
  let session: Session | undefined;
  const subscription = await hub.join(target, from, (joined) => {
    instance.accept();
    if (!stillHolds(instance, request, ROUTE, admission)) return undefined;
    session = new Session(sessions, { address, principal, protocol: hello ? protocols.rawWithHello : protocols.raw });
    const transport = new WebSocketTransport(session, registry.pingIntervalMs);
    if (server?.upgrade(request, { data: transport, headers: { ...headers, ...positionHeaders(joined) } }) !== true) {
      throw new Problem("malformed-request", "The connection cannot be upgraded.");
    }
    session.connect(transport);
    return session.attach(joined);
  });
  void session?.replayRest(subscription);
  return subscription !== undefined;
}

/** The part of Bun's server that upgrades. */
interface Upgrader extends Peers {
  upgrade(request: Request, options: { data: WebSocketTransport; headers: Record<string, string> }): boolean;
}

/** Where what follows begins, and if that is where the client wanted to go on. */
function positionHeaders({ position, resumed }: Subscription): Record<string, string> {
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
