/** `ws` on Node, bridged over Redis as its users write it: one SUBSCRIBE for a channel, and a loop over the channel's sockets. */
import { createServer } from "node:http";
import { Redis } from "ioredis";
import { WebSocketServer, type WebSocket } from "ws";
import { announce } from "./announce.ts";

const url = process.env["REDIS_URL"] ?? "redis://127.0.0.1:6379";
const publisher = new Redis(url, { enableAutoPipelining: true });
const subscriber = new Redis(url);
const subscribed = new Map<string, Promise<unknown>>();
const sockets = new Map<string, Set<WebSocket>>();

function subscribe(channel: string): Promise<unknown> {
  let pending = subscribed.get(channel);
  if (pending === undefined) {
    sockets.set(channel, new Set());
    pending = subscriber.subscribe(channel);
    subscribed.set(channel, pending);
  }
  return pending;
}

subscriber.on("message", (channel, message) => {
  for (const socket of sockets.get(channel) ?? []) socket.send(message);
});

const webSockets = new WebSocketServer({ noServer: true, perMessageDeflate: false, maxPayload: 65_536 });
const server = createServer();
server.on("upgrade", (request, stream, head) => {
  const channel = request.url ?? "/";
  void subscribe(channel).then(() =>
    webSockets.handleUpgrade(request, stream, head, (socket) => {
      const all = sockets.get(channel);
      all?.add(socket);
      socket.on("close", () => all?.delete(socket));
      // The text is a text again in Redis, and on its way out.
      socket.on("message", (data: Buffer) => void publisher.publish(channel, data));
    }),
  );
});
server.listen(0, "0.0.0.0", () => {
  const address = server.address();
  announce(typeof address === "object" && address !== null ? address.port : 0);
});
