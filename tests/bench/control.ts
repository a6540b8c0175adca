/** The control of the bench: what Bun's own server and topics cost, with nothing around them. */
const server = Bun.serve({
  port: 0,
  hostname: "0.0.0.0",
  fetch(request, upgrading) {
    const topic = new URL(request.url).pathname;
    return upgrading.upgrade(request, { data: { topic } }) ? undefined : new Response("", { status: 426 });
  },
  websocket: {
    data: { topic: "" },
    perMessageDeflate: false,
    open(socket) {
      socket.subscribe(socket.data.topic);
    },
    message(socket, message) {
      server.publish(socket.data.topic, message);
    },
  },
});
process.stdout.write(`${JSON.stringify({ url: server.url.href })}\n`);
