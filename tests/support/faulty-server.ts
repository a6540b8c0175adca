/**
 * A server that does what the bench has to find. It loses one message in a hundred for its first client, doubles one for its second,
 * swaps two for its third, and writes how often into the file FAULTY_FILE when it ends. With FAULTY_LIFE it dies after so many messages.
 */
import { writeFileSync } from "node:fs";
import type { ServerWebSocket } from "bun";

const file = process.env["FAULTY_FILE"] ?? "";
const life = Number(process.env["FAULTY_LIFE"] ?? Number.POSITIVE_INFINITY);
const made = { pid: process.pid, lost: 0, doubled: 0, reordered: 0 };
const sockets: ServerWebSocket[] = [];
let messages = 0;
let held: string | Buffer | undefined;

function save(): void {
  if (file !== "") writeFileSync(file, JSON.stringify(made));
}

/** A message that nothing came to swap with goes out in its place. */
function release(): void {
  if (held !== undefined) sockets[2]?.send(held);
  held = undefined;
}

function deliver(socket: ServerWebSocket, index: number, message: string | Buffer): void {
  const turn = messages % 100;
  if (index === 0 && turn === 10) {
    made.lost += 1;
    return;
  }
  if (index === 2 && turn === 30) {
    held = message;
    setTimeout(release, 20);
    return;
  }
  socket.send(message);
  if (index === 1 && turn === 20) {
    made.doubled += 1;
    socket.send(message);
  }
  if (index === 2 && held !== undefined) {
    made.reordered += 1;
    release();
  }
}

const server = Bun.serve({
  port: 0,
  fetch: (request, upgrading) => (upgrading.upgrade(request) ? undefined : new Response("", { status: 426 })),
  websocket: {
    open: (socket) => void sockets.push(socket),
    message(_, message) {
      messages += 1;
      if (messages > life) {
        process.stderr.write("out of luck\n");
        process.exit(3);
      }
      for (const [index, socket] of sockets.entries()) deliver(socket, index, message);
    },
  },
});
process.on("SIGTERM", () => {
  save();
  process.exit(0);
});
save();
process.stdout.write(`${JSON.stringify({ url: server.url.href, pid: process.pid })}\n`);
