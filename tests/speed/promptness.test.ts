import { afterEach, expect, setDefaultTimeout, test } from "bun:test";
import { Socket } from "node:net";
import { tapReplies } from "../../src/bus/redis/reply-tap.ts";
import { Client, frame } from "../support/client.ts";
import { Server } from "../support/executable.ts";
import { Instance, plainRooms } from "../support/instance.ts";
import { Proxy } from "../support/proxy.ts";
import { Raw } from "../support/raw.ts";
import { freePort, RedisServer } from "../support/redis.ts";
import { waitFor } from "../support/wait.ts";

setDefaultTimeout(30_000);

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

async function elapsedMs(act: () => Promise<unknown>): Promise<number> {
  const since = performance.now();
  await act();
  return performance.now() - since;
}

async function startRedis(): Promise<RedisServer> {
  const redis = await RedisServer.start();
  ends.push(() => redis.stop());
  return redis;
}

async function startInstance(port: number): Promise<Instance> {
  const instance = await Instance.start({ env: { REDIS_URL: `redis://127.0.0.1:${port}` }, toml: plainRooms });
  ends.push(() => instance.stop());
  return instance;
}

test("a Redis that hangs or is killed is noticed within 3 s", async () => {
  for (const away of ["pause", "kill"] as const) {
    const redis = await startRedis();
    const instance = await startInstance(redis.port);
    await redis[away]();
    expect(await elapsedMs(() => waitFor("readyz to say so", async () => !(await instance.ready())))).toBeLessThan(3000);
    expect(await elapsedMs(() => Client.ask(instance.port, "/ws/rooms/refused"))).toBeLessThan(3000);
    redis.resume();
  }
});

test("a network that swallows everything is noticed within 3 s", async () => {
  const redis = await startRedis();
  const proxy = await Proxy.start(redis.port);
  ends.push(() => proxy.stop());
  const instance = await startInstance(proxy.port);
  proxy.hold();
  expect(await elapsedMs(() => waitFor("readyz to say so", async () => !(await instance.ready())))).toBeLessThan(3000);
});

test("a server starts within 3.5 s without its Redis, and ends within 1 s", async () => {
  const port = await freePort();
  let server: Server | undefined;
  expect(await elapsedMs(async () => (server = await Server.start({ REDIS_URL: `redis://127.0.0.1:${port}` })))).toBeLessThan(3500);
  expect(await elapsedMs(async () => server?.end())).toBeLessThan(1000);
});

test("a health check is answered within 2 s while thousands of broken sockets come and go", async () => {
  const server = await Server.start();
  const upgrade =
    "GET /ws/rooms/a HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
  let slowestMs = 0;
  for (let round = 0; round < 6; round += 1) {
    const clients = Array.from({ length: 500 }, () => new Raw(server.port, upgrade));
    slowestMs = Math.max(slowestMs, await elapsedMs(() => fetch(`${server.url}/livez`)));
    await waitFor("the handshakes", () => clients.every(({ heard }) => heard.includes("101")));
    for (const client of clients) client.send(frame(1, "x", { masked: false }));
    slowestMs = Math.max(slowestMs, await elapsedMs(() => fetch(`${server.url}/livez`)));
    await waitFor("the server to end them", () => clients.every(({ ended }) => ended));
  }
  expect(slowestMs).toBeLessThan(2000);
  expect(await server.end()).toBe(0);
});

test("a reply of 1.6 MB in pieces of 1,000 bytes is passed on within 1 s", async () => {
  const stream = new Socket();
  let passed = 0;
  stream.on("data", (part: Buffer) => (passed += part.length));
  tapReplies(stream, { first: () => undefined, shift: () => undefined }, () => undefined);
  const reply = Buffer.from(`*200000\r\n${"$6\r\nmember\r\n:1\r\n".repeat(100_000)}`);
  const tookMs = await elapsedMs(async () => {
    for (let at = 0; at < reply.length; at += 1000) stream.emit("data", Buffer.from(reply.subarray(at, at + 1000)));
  });
  expect(passed).toBe(reply.length);
  expect(tookMs).toBeLessThan(1000);
});
