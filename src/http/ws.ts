import { Elysia } from "elysia";
import { Problem } from "../errors.ts";
import type { Subscription } from "../hub/subscription.ts";
import { RawProtocol } from "../protocols/raw/raw.ts";
import { Session } from "../sessions/session.ts";
import { WebSocketTransport } from "../sessions/transports/websocket.ts";
import type { Peers } from "./address.ts";
import { admit, stillHolds, takePlace } from "./admission.ts";
import type { Instance } from "./context.ts";
import { checkHandshake } from "./handshake.ts";
import { otherMethods } from "./problems.ts";
import { parseHistoryQuery } from "./query.ts";
import { targetQuery } from "./target.ts";

const ROUTE = "/ws/";
const raw = new RawProtocol(false);
const rawWithHello = new RawProtocol(true);

/**
 * `GET /ws/<path>`: a WebSocket on a channel.
 *
 * An ordinary route that upgrades: Elysia's `.ws()` parses text before any hook sees it.
 */
export function websocket(instance: Instance) {
  return new Elysia({ name: "websocket" })
    .get(`${ROUTE}*`, async ({ request, server }) => {
      const address = takePlace(instance, request, server);
      try {
        // A reload may lead the path to another channel while the client joins: then it joins that one.
        if ((await join(instance, request, server, address)) || (await join(instance, request, server, address))) return undefined;
        throw new Problem("gap", "The configuration was changed while the client joined; it may try again.");
      } catch (error) {
        instance.sessions.registry.release(address);
        throw error;
      }
    })
    .all(`${ROUTE}*`, otherMethods(instance, "GET"));
}

/** Returns false where a reload has led the path elsewhere. */
async function join(instance: Instance, request: Request, server: Upgrader | null, address: string): Promise<boolean> {
  const { sessions, fanOuts } = instance;
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
    session = new Session(sessions, { address, principal, protocol: hello ? rawWithHello : raw, fanOut: fanOuts.raw });
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
