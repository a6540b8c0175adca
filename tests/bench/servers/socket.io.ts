/**
 * Socket.IO on Node with its Redis adapter; a channel is a room. It gives a message to its own clients at once and to Redis for
 * those of other instances, so nobody here waits for Redis, and two instances may see two orders.
 */
import { createServer } from "node:http";
import { createAdapter } from "@socket.io/redis-adapter";
import { Redis } from "ioredis";
import { Server } from "socket.io";
import { announce } from "./announce.ts";

const url = process.env["REDIS_URL"] ?? "redis://127.0.0.1:6379";
const publisher = new Redis(url, { enableAutoPipelining: true });
const server = createServer();
const io = new Server(server, {
  adapter: createAdapter(publisher, new Redis(url)),
  serveClient: false,
  perMessageDeflate: false,
  maxHttpBufferSize: 131_072,
});
io.on("connection", (socket) => {
  let room = "";
  socket.on("join", (name: string, joined: () => void) => {
    room = name;
    void Promise.resolve(socket.join(name)).then(joined);
  });
  socket.on("m", (message: string) => io.to(room).emit("m", message));
});
server.listen(0, "0.0.0.0", () => {
  const address = server.address();
  announce(typeof address === "object" && address !== null ? address.port : 0);
});
