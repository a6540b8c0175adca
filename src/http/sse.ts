import { Elysia } from "elysia";
import { SseProtocol } from "../protocols/sse/sse.ts";
import { Session } from "../sessions/session.ts";
import { EventStreamTransport } from "../sessions/transports/event-stream.ts";
import { Problem, type ClosingFaultName } from "../errors.ts";
import { describeError } from "../log.ts";
import type { JoinFrom } from "../hub/joins.ts";
import { admit, stillHolds, takePlace, type Admission } from "./admission.ts";
import type { Instance } from "./context.ts";
import { otherMethods } from "./problems.ts";
import { parseEventsQuery } from "./query.ts";
import { targetQuery } from "./target.ts";

const ROUTE = "/sse/";
/** Bun ends a connection on which nothing has moved for so long, in seconds. */
const CUT_S = 1;
const HEADERS = {
  "content-type": "text/event-stream",
  "cache-control": "no-store",
  "x-accel-buffering": "no",
  // Its time-out is off, and would be for what came after it on the same connection.
  connection: "close",
};

/**
 * `GET /sse/<path>`: a channel as server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html). A browser's
 * EventSource stops for good at any answer but 200, so a bus that is away or an instance that drains is a stream that waits or ends.
 */
export function serverSentEvents(instance: Instance) {
  const { sessions, fanOuts, streamTopics } = instance;
  const { registry, log } = sessions;
  return new Elysia({ name: "server-sent-events" })
    .get(`${ROUTE}*`, async ({ request, server }) => {
      // Elysia answers HEAD with the headers of GET, which would join, and never end.
      if (request.method === "HEAD") throw new Problem("wrong-method", "This route takes GET only.", { allow: "GET" });
      const { origins } = instance.rules;
      const address = takePlace(instance, request, server);
      let admission: Admission;
      let from: JoinFrom | undefined;
      try {
        admission = await admit(instance, request, ROUTE, "join");
        ({ from } = parseEventsQuery(targetQuery(request.url), request.headers, admission.target.kind));
      } catch (error) {
        registry.release(address);
        throw error;
      }
      const protocol = new SseProtocol();
      const session = new Session(sessions, { address, principal: admission.principal, protocol, fanOut: fanOuts.sse });
      const transport = new EventStreamTransport(session, streamTopics);
      session.connect(transport);
      request.signal.addEventListener("abort", () => transport.end());
      server?.timeout(request, 0);
      const joining: Joining = { session, protocol, request, admission, from };
      if (instance.draining()) end(joining, "draining");
      else if (!(await join(joining))) void joinLater(joining);
      protocol.open(session);
      return new Response(
        bodyOf(transport, () => server?.timeout(request, CUT_S)),
        { headers: { ...origins.corsHeaders(request.headers), ...HEADERS } },
      );
    })
    .all(`${ROUTE}*`, otherMethods(instance, "GET"));

  /** Returns false where the bus is away. */
  async function join(joining: Joining): Promise<boolean> {
    const { session, request, admission, from } = joining;
    try {
      const subscription = await session.subscribe(admission.target, from, () => stillHolds(instance, request, ROUTE, admission));
      if (subscription === undefined) end(joining, "gap");
      return true;
    } catch (error) {
      if (error instanceof Problem && error.fault === "bus-away") return session.closing;
      if (!(error instanceof Problem)) log.error("joining failed", { channel: admission.target.channel, error: describeError(error) });
      end(joining, "forbidden");
      return true;
    }
  }

  /** Each try waits for the bus. */
  async function joinLater(joining: Joining): Promise<void> {
    while (!(await join(joining)));
  }
}

/** A stream that has not joined yet. */
interface Joining {
  readonly session: Session;
  readonly protocol: SseProtocol;
  readonly request: Request;
  readonly admission: Admission;
  readonly from: JoinFrom | undefined;
}

/** A stream is opened before it ends: its first line says when a browser may come back. */
function end({ session, protocol }: Joining, fault: ClosingFaultName): void {
  protocol.open(session);
  session.close(fault);
}

/** @param cut ends the connection, which an error does not while the client reads nothing */
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
    // Nothing is taken before the connection has room for it.
    { highWaterMark: 0 },
  );
}
