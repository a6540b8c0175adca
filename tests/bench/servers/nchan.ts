/** Nginx with its nchan module, over Redis: one process, which this one starts, writes the configuration of, and ends. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "../../support/redis.ts";
import { announce } from "./announce.ts";

const [module = ""] = process.argv.slice(2);
const folder = mkdtempSync(join(tmpdir(), "lockstep-nchan-"));
const port = await freePort();
const file = join(folder, "nginx.conf");
writeFileSync(
  file,
  `load_module ${module};
daemon off;
master_process off;
pid ${folder}/nginx.pid;
error_log stderr warn;
worker_rlimit_nofile 65536;
events { worker_connections 65000; }
http {
  access_log off;
  client_body_temp_path ${folder}/body;
  proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/fastcgi;
  uwsgi_temp_path ${folder}/uwsgi;
  scgi_temp_path ${folder}/scgi;
  nchan_shared_memory_size 256M;
  upstream bus { nchan_redis_server ${process.env["REDIS_URL"] ?? "redis://127.0.0.1:6379"}; }
  server {
    listen 0.0.0.0:${port};
    location ~ ^/ws/rooms/(\\w+)$ {
      nchan_pubsub websocket;
      nchan_channel_id $1;
      nchan_redis_pass bus;
      nchan_message_buffer_length 100;
      nchan_message_timeout 10m;
      nchan_subscriber_first_message newest;
      nchan_websocket_ping_interval 25;
    }
  }
}
`,
);
let isReady = false;
const nginx = Bun.spawn(["nginx", "-c", file, "-p", folder], { stdin: "ignore", stdout: "ignore", stderr: "inherit" });
for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.on(signal, () => nginx.kill("SIGTERM"));
const upgrade =
  "Host: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
// It listens before it has found Redis, and refuses clients until then.
const probe = setInterval(() => {
  const socket = connect(port, "127.0.0.1", () => socket.write(`GET /ws/rooms/probe HTTP/1.1\r\n${upgrade}`));
  socket.on("error", () => socket.destroy());
  socket.on("data", (answer: Buffer) => {
    socket.destroy();
    if (!answer.toString("latin1").startsWith("HTTP/1.1 101") || isReady) return;
    isReady = true;
    clearInterval(probe);
    announce(port, nginx.pid);
  });
}, 50);
const code = await nginx.exited;
clearInterval(probe);
rmSync(folder, { recursive: true, force: true });
process.exit(code);
