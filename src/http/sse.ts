import { Elysia } from "elysia";
import { expiryOf, subjectOf, type Caller } from "../access/caller.ts";
import { isAlike, resolveKind, type Resolved } from "../channels/kind.ts";
import { EventStream } from "../clients/event-stream.ts";
import { Problem } from "../errors.ts";
import { describeError } from "../log.ts";
import type { JoinFrom } from "../hub/joining.ts";
import type { Seat } from "../hub/local-channel.ts";
import { addressOf } from "./address.ts";
import type { Instance } from "./context.ts";
import { credentialOf } from "./credential.ts";
import { otherMethods } from "./problems.ts";
import { parseEventsQuery } from "./query.ts";
import { targetChannel, targetQuery } from "./target.ts";

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
    .get(`${ROUTE}*`, async ({ request, server }) => {
      // Elysia answers HEAD with the headers of GET, which would join, and never end.
      if (request.method === "HEAD") throw new Problem("wrong-method", "This route takes GET only.", { allow: "GET" });
      const { config, access, origins, proxies } = instance.rules;
      origins.require(request.headers);
      const address = addressOf(request, server, proxies);
      connections.admit(address);
      let target: Resolved;
      let caller: Caller;
      let from: JoinFrom | undefined;
      try {
        target = targetChannel(request.url, ROUTE, config.kinds);
        caller = await access.identify(credentialOf(request));
        access.requireJoin(caller, target);
        ({ from } = parseEventsQuery(targetQuery(request.url), request.headers, target.kind));
      } catch (error) {
        connections.release(address);
        throw error;
      }
      const guest = { address, subject: subjectOf(caller), expiresMs: expiryOf(caller), mayPublish: false };
      const stream = new EventStream(house, eventTopics, target.kind, guest);
      request.signal.addEventListener("abort", () => stream.end());
      server?.timeout(request, 0);
      if (instance.draining()) {
        stream.wait();
        stream.retire("draining");
      } else if (!(await join(stream, target, from))) {
        stream.wait();
        void joinLater(stream, target, from);
      }
      return new Response(
        bodyOf(stream, () => server?.timeout(request, CUT_S)),
        { headers: { ...origins.corsHeaders(request.headers), ...HEADERS } },
      );
    })
    .all(`${ROUTE}*`, otherMethods(instance, "GET"));

  /** Whether there is nothing more to wait for. */
  async function join(stream: EventStream, target: Resolved, from: JoinFrom | undefined): Promise<boolean> {
    const { config } = instance.rules;
    const now = resolveKind(config.kinds, target.segments) ?? target;
    if (!isAlike(now, target)) {
      // It has waited while the configuration was read anew.
      stream.retire("gap");
      return true;
    }
    let seat: Seat;
    try {
      seat = await hub.reserve(now, from);
    } catch (error) {
      if (!(error instanceof Problem)) house.log.error("joining failed", { channel: target.channel, error: describeError(error) });
      return stream.ended;
    }
    // The promise of a seat holds for this turn only.
    if (stream.ended) hub.leave(seat);
    else stream.open(seat);
    return true;
  }

  async function joinLater(stream: EventStream, target: Resolved, from: JoinFrom | undefined): Promise<void> {
    do {
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      // Not asked for a seat before there can be one: that would leave something behind each time.
    } while (!stream.ended && (!hub.bus.ready || !(await join(stream, target, from))));
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
