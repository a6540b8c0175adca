/**
 * The least that bridges Bun's topics over Redis: one SUBSCRIBE for a channel, one PUBLISH for a message, and delivery from Redis
 * alone. The control of Lockstep over Redis. It promises nothing: no history, no bound, no word about what was lost.
 */
import { Redis } from "ioredis";
import { announce } from "./announce.ts";

const url = process.env["REDIS_URL"] ?? "redis://127.0.0.1:6379";
const publisher = new Redis(url, { enableAutoPipelining: true });
const subscriber = new Redis(url);
const subscribed = new Map<string, Promise<unknown>>();

function subscribe(channel: string): Promise<unknown> {
  let pending = subscribed.get(channel);
  if (pending === undefined) {
    pending = subscriber.subscribe(channel);
    subscribed.set(channel, pending);
  }
  return pending;
}

const server = Bun.serve({
  port: 0,
  hostname: "0.0.0.0",
  async fetch(request, upgrading) {
    const topic = new URL(request.url).pathname;
    // Acknowledged before the upgrade, or the first messages would be lost.
    await subscribe(topic);
    return upgrading.upgrade(request, { data: { topic } }) ? undefined : new Response("", { status: 426 });
  },
  websocket: {
    data: { topic: "" },
    // As Lockstep sets them: they decide what a frame costs.
    perMessageDeflate: false,
    backpressureLimit: 0,
    idleTimeout: 0,
    sendPings: false,
    open(socket) {
      socket.subscribe(socket.data.topic);
    },
    message(socket, message) {
      void publisher.publish(socket.data.topic, message);
    },
  },
});
subscriber.on("message", (channel, message) => server.publish(channel, message));
announce(server.port ?? 0);
