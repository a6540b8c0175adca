import { Problem } from "../../errors.ts";
import { replayRest } from "../../sessions/session-joins.ts";
import { Session } from "../../sessions/session.ts";
import { WebSocketTransport } from "../../sessions/transports/websocket.ts";
import { admitConnection, authorize, stillHolds } from "../authorize.ts";
import type { HttpServer, Instance } from "../context.ts";
import { checkHandshake, positionHeaders } from "../request/handshake.ts";
import { parseHistoryQuery } from "../request/query.ts";
import { targetQuery } from "../request/target.ts";

/** `GET /ws/<path>`: joins a channel by WebSocket. */
export async function joinByWebSocket(instance: Instance, request: Request, server: HttpServer | null): Promise<undefined> {
  const address = admitConnection(instance, request, server);
  try {
    // A reload may lead the path to another channel while the client joins. The second attempt joins that one.
    if ((await join(instance, request, server, address)) || (await join(instance, request, server, address))) return;
    throw new Problem("gap", "The configuration changed while you joined. Try again.");
  } catch (error) {
    instance.sessions.registry.release(address);
    throw error;
  }
}

/** Returns false if a reload has led the path to another channel. */
async function join(instance: Instance, request: Request, server: HttpServer | null, address: string): Promise<boolean> {
  const { sessions, protocols } = instance;
  const { hub, registry } = sessions;
  const authorization = await authorize(instance, request, "join");
  const { target, principal } = authorization;
  const { from, hello } = parseHistoryQuery(targetQuery(request.url), target.kind);
  const headers = checkHandshake(request.headers);
  instance.accept();
  let session: Session | undefined;
  const subscription = await hub.join(target, from, (joined) => {
    instance.accept();
    if (!stillHolds(instance, request, authorization)) return undefined;
    session = new Session(sessions, { address, principal, protocol: hello ? protocols.rawWithHello : protocols.raw });
    const transport = new WebSocketTransport(session, registry.pingIntervalMs);
    if (server?.upgrade(request, { data: transport, headers: { ...headers, ...positionHeaders(joined) } }) !== true) {
      throw new Problem("malformed-request", "The connection cannot be upgraded.");
    }
    session.connect(transport);
    return session.attach(joined);
  });
  if (subscription !== undefined && session !== undefined) void replayRest(session, subscription);
  return subscription !== undefined;
}
