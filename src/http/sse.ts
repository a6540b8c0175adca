import { Elysia } from "elysia";
import { isAlike } from "../channels/kind.ts";
import { formatMessage, formatOpening } from "../sessions/event-format.ts";
import { EventStream } from "../sessions/event-stream.ts";
import { Problem } from "../errors.ts";
import { describeError } from "../log.ts";
import type { JoinFrom } from "../hub/joining.ts";
import type { Seat } from "../hub/local-channel.ts";
import { admit, takePlace, type Admission } from "./admission.ts";
import type { Instance } from "./context.ts";
import { otherMethods } from "./problems.ts";
import { parseEventsQuery } from "./query.ts";
import { channelAccess, channelPath, channelRefusals, EXAMPLE_POSITION, optional, positionSchema, recent } from "./reference/channel.ts";
import { header, operation } from "./reference/operation.ts";
import { targetQuery } from "./target.ts";

const ROUTE = "/sse/";
const RETRY_MS = 100;
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
  const { house, eventTopics } = instance;
  const { hub, connections } = house;
  return new Elysia({ name: "server-sent-events" })
    .get(
      `${ROUTE}*`,
      async ({ request, server }) => {
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
          connections.release(address);
          throw error;
        }
        const { principal } = admission;
        const stream = new EventStream(house, eventTopics, { address, principal });
        request.signal.addEventListener("abort", () => stream.end());
        server?.timeout(request, 0);
        const join = (): Promise<boolean> => joinOnce(stream, request, admission, from);
        if (instance.draining()) {
          stream.wait();
          stream.retire("draining");
        } else if (!(await join())) {
          stream.wait();
          void joinLater(stream, join);
        }
        return new Response(
          bodyOf(stream, () => server?.timeout(request, CUT_S)),
          { headers: { ...origins.corsHeaders(request.headers), ...HEADERS } },
        );
      },
      { detail },
    )
    .all(`${ROUTE}*`, otherMethods(instance, "GET"));

  /** Whether there is nothing more to wait for. */
  async function joinOnce(stream: EventStream, request: Request, first: Admission, from: JoinFrom | undefined): Promise<boolean> {
    const { channel } = first.target;
    let admission = first;
    let seat: Seat | undefined;
    try {
      while (seat === undefined && !stream.ended) {
        // It may have waited while the configuration was read anew.
        if (admission.rules !== instance.rules) admission = await admit(instance, request, ROUTE, "join");
        if (!isAlike(admission.target, first.target)) {
          stream.wait();
          stream.retire("gap");
          return true;
        }
        seat = await hub.seating.reserve(admission.target, from);
        // The promise of a seat holds for this turn only.
        if (stream.ended || seat.moved || admission.rules !== instance.rules) {
          hub.seating.leave(seat);
          seat = undefined;
        }
      }
    } catch (error) {
      if (!(error instanceof Problem)) house.log.error("joining failed", { channel, error: describeError(error) });
      else if (error.fault !== "bus-away") {
        stream.wait();
        stream.retire("forbidden");
      }
      return stream.ended;
    }
    if (seat !== undefined) stream.open(seat);
    return true;
  }

  async function joinLater(stream: EventStream, join: () => Promise<boolean>): Promise<void> {
    do {
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      // Not asked for a seat before there can be one: that would leave something behind each time.
    } while (!stream.ended && (!hub.bus.ready() || !(await join())));
  }
}

/** @param cut ends the connection, which an error does not while the client reads nothing */
function bodyOf(stream: EventStream, cut: () => void): ReadableStream<Uint8Array> {
  return new ReadableStream<Uint8Array>(
    {
      start: (controller) =>
        stream.begin(() => {
          controller.error(new Error("the client does not read"));
          cut();
        }),
      pull: async (controller) => {
        const part = await stream.pull();
        if (part === undefined) controller.close();
        else controller.enqueue(part);
      },
      cancel: () => stream.end(),
    },
    // Nothing is taken before the connection has room for it.
    { highWaterMark: 0 },
  );
}

const exampleStream = `${formatOpening(1000, EXAMPLE_POSITION)}${formatMessage("hello", "k3j9x0a2-8")}${formatMessage(Buffer.of(0, 255), "k3j9x0a2-9")}`;

const detail = operation({
  operationId: "joinAsEventStream",
  tags: ["Clients"],
  summary: "Join a channel as server-sent events",
  description: `For a browser's \`EventSource\`, which comes back by itself and says where it was. While the bus is away the stream waits, and where the instance drains it ends: never 503, which would
stop an \`EventSource\` for good. What closes a WebSocket ends the stream.

| event | what it is |
|---|---|
| (none) | a text message; CR and CRLF in it arrive as LF |
| \`binary\` | a binary message, in base64 |
| \`reset\` | messages may be missing here: \`${JSON.stringify({ position: EXAMPLE_POSITION })}\` is where what follows begins, \`null\` on a channel without history |

On a channel with history the stream opens with its position as \`id\`, and every event has one. A comment comes every 15 s.`,
  security: channelAccess,
  parameters: [
    channelPath,
    optional(
      "header",
      "Last-Event-ID",
      "First replays all messages after this position. 400 where it is none.",
      positionSchema,
      EXAMPLE_POSITION,
    ),
    optional(
      "query",
      "last_event_id",
      "The same, where no header can be set; 400 on a channel without history.",
      positionSchema,
      EXAMPLE_POSITION,
    ),
    recent,
  ],
  answers: {
    200: {
      description: "The stream",
      headers: {
        "Cache-Control": header("Never kept", HEADERS["cache-control"], { required: true }),
        "X-Accel-Buffering": header("So that nginx passes it on at once", HEADERS["x-accel-buffering"], { required: true }),
      },
      content: { "text/event-stream": { schema: { type: "string" }, example: exampleStream } },
    },
  },
  refusals: ["too-many-connections", "too-many-connections-of-address", ...channelRefusals],
});
