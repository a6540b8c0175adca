import { Problem, type ClosingFaultName } from "../../errors.ts";
import type { JoinFrom } from "../../hub/joins.ts";
import { describeError } from "../../log.ts";
import { HEARTBEAT, type SseProtocol } from "../../protocols/sse.ts";
import { replayRest } from "../../sessions/session-joins.ts";
import { Session } from "../../sessions/session.ts";
import { EventStreamTransport } from "../../sessions/transports/event-stream.ts";
import { admitConnection, authorize, stillHolds, type Authorization } from "../authorize.ts";
import type { HttpServer, Instance } from "../context.ts";
import { parseEventsQuery } from "../request/query.ts";
import { targetQuery } from "../request/target.ts";

/** Time after which Bun ends a connection on which nothing moves, in seconds. */
const CUT_S = 1;
const HEADERS = {
  "content-type": "text/event-stream",
  "cache-control": "no-store",
  "x-accel-buffering": "no",
  // The stream's time-out is off, and would stay off for the next request on the same connection.
  connection: "close",
};

/** A stream that has not joined yet. */
interface Joining {
  readonly instance: Instance;
  readonly request: Request;
  readonly session: Session;
  readonly protocol: SseProtocol;
  readonly authorization: Authorization;
  readonly from: JoinFrom | undefined;
}

/**
 * `GET /sse/<path>`: joins a channel as server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html). A browser's
 * EventSource gives up at any answer but 200. So the stream waits while the bus is away, and ends while the instance drains.
 */
export async function joinAsEventStream(instance: Instance, request: Request, server: HttpServer | null): Promise<Response> {
  // Elysia answers HEAD by running the handler of GET, which would join and never end.
  if (request.method === "HEAD") throw new Problem("wrong-method", "This route takes GET only.", { allow: "GET" });
  const { sessions, protocols, streamTopics } = instance;
  const { origins } = instance.rules;
  const address = admitConnection(instance, request, server);
  let authorization: Authorization;
  let from: JoinFrom | undefined;
  try {
    authorization = await authorize(instance, request, "join");
    // A reload may have come while the keys of the token were fetched. Once the stream is open it is too late for a 403.
    if (authorization.rules !== instance.rules) authorization = await authorize(instance, request, "join");
    ({ from } = parseEventsQuery(targetQuery(request.url), request.headers, authorization.target.kind));
  } catch (error) {
    sessions.registry.release(address);
    throw error;
  }
  const protocol = protocols.sse();
  const session = new Session(sessions, { address, principal: authorization.principal, protocol });
  const transport = new EventStreamTransport(session, streamTopics, HEARTBEAT);
  session.connect(transport);
  request.signal.addEventListener("abort", () => transport.end());
  server?.timeout(request, 0);
  const joining: Joining = { instance, request, session, protocol, authorization, from };
  if (instance.draining()) end(joining, "draining");
  else if (!(await join(joining))) void joinLater(joining);
  protocol.open(session);
  return new Response(
    bodyOf(transport, () => server?.timeout(request, CUT_S)),
    { headers: { ...origins.corsHeaders(request.headers), ...HEADERS } },
  );
}

/** Returns false if the bus is away. */
async function join(joining: Joining): Promise<boolean> {
  const { instance, request, session, authorization, from } = joining;
  const { target } = authorization;
  try {
    const subscription = await instance.sessions.hub.join(target, from, (joined) =>
      !session.closing && stillHolds(instance, request, authorization) ? session.attach(joined) : undefined,
    );
    if (subscription === undefined) end(joining, "gap");
    else void replayRest(session, subscription);
    return true;
  } catch (error) {
    if (error instanceof Problem && error.fault === "bus-away") return session.closing;
    if (!(error instanceof Problem)) {
      instance.sessions.log.error("joining failed", { channel: target.channel, error: describeError(error) });
    }
    end(joining, "forbidden");
    return true;
  }
}

/** Tries until the stream has joined or ended. Each attempt waits for the bus. */
async function joinLater(joining: Joining): Promise<void> {
  while (!(await join(joining)));
}

/** Opens the stream before it ends: the first line says when a browser may reconnect. */
function end({ session, protocol }: Joining, fault: ClosingFaultName): void {
  protocol.open(session);
  session.close(fault);
}

/** @param cut ends the connection; an error of the stream does not, while the client reads nothing */
function bodyOf(transport: EventStreamTransport, cut: () => void): ReadableStream<Uint8Array> {
  return new ReadableStream<Uint8Array>(
    {
      start: (controller) =>
        transport.begin(() => {
          controller.error(new Error("the client does not read"));
          cut();
        }),
      pull: async (controller) => {
        const part = await transport.pull();
        if (part === undefined) controller.close();
        else controller.enqueue(part);
      },
      cancel: () => transport.end(),
    },
    // Bun pulls only if the connection has room.
    { highWaterMark: 0 },
  );
}
