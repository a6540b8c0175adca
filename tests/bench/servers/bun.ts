/** What Bun's own server and topics cost, with nothing around them: the control of Lockstep on its embedded bus. */
import { announce } from "./announce.ts";

const server = Bun.serve({
  port: 0,
  hostname: "0.0.0.0",
  fetch(request, upgrading) {
    const topic = new URL(request.url).pathname;
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
      server.publish(socket.data.topic, message);
    },
  },
});
announce(server.port ?? 0);
