/**
 * A soak: clients join, leave, publish and fall silent on one server for some minutes, and its memory is looked at all the while.
 * `bun run soak [minutes]`, 10 by default. Fails where the memory of the last third is more than 15 % above that of the second.
 */
import { Client } from "./support/client.ts";
import { EventClient } from "./support/event-client.ts";
import { Server } from "./support/executable.ts";
import { RedisServer } from "./support/redis.ts";

const ROUND_CLIENTS = 100;
const ROUND_STREAMS = 10;
const MESSAGES = 20;
const SAMPLE_MS = 10_000;
const MAX_GROWTH = 1.15;

const minutes = Number(process.argv[2] ?? 10);
if (!(minutes > 0)) throw new Error("bun run soak [minutes]");

async function residentMb(pid: number): Promise<number> {
  return Number(/VmRSS:\s+(\d+)/.exec(await Bun.file(`/proc/${pid}/status`).text())?.[1]) / 1024;
}

async function round(server: Server, number: number): Promise<void> {
  const room = `rooms/soak-${number % 500}`;
  const clients = await Promise.all(
    Array.from({ length: ROUND_CLIENTS }, (_, index) => Client.join(server.port, `/ws/${room}?recent=${index % 20}`)),
  );
  const streams = await Promise.all(Array.from({ length: ROUND_STREAMS }, () => EventClient.open(`${server.url}/sse/${room}`)));
  for (let index = 0; index < MESSAGES; index += 1) clients[index]?.send(`message ${index} ${"x".repeat(100)}`);
  await clients[0]?.receive(MESSAGES);
  for (const client of clients) client.destroy();
  for (const stream of streams) stream.close();
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}

const redis = await RedisServer.start();
const server = await Server.start({ REDIS_URL: redis.url });
const samples: number[] = [];
const endMs = Date.now() + minutes * 60_000;
let rounds = 0;
let nextMs = 0;
let code: number | null = null;
try {
  while (Date.now() < endMs) {
    await round(server, (rounds += 1));
    if (Date.now() < nextMs) continue;
    nextMs = Date.now() + SAMPLE_MS;
    const mb = await residentMb(server.pid);
    samples.push(mb);
    process.stdout.write(
      `${Math.max(0, Math.round((endMs - Date.now()) / 1000))} s to go, ${rounds * ROUND_CLIENTS} clients so far, ${mb.toFixed(0)} MB\n`,
    );
  }
} finally {
  code = await server.end();
  await redis.stop();
}
const third = Math.floor(samples.length / 3);
const [before, after] = [median(samples.slice(third, 2 * third)), median(samples.slice(2 * third))];
process.stdout.write(
  `${rounds * (ROUND_CLIENTS + ROUND_STREAMS)} clients, ${rounds * MESSAGES} messages: ${before.toFixed(0)} MB in the second third, ${after.toFixed(0)} MB in the last; exit code ${code}\n`,
);
process.exit(code === 0 && after < before * MAX_GROWTH ? 0 : 1);
