import { afterEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { Client } from "../support/client.ts";
import { Deployment } from "../support/deployment.ts";
import { EventClient } from "../support/event-client.ts";
import type { Server } from "../support/executable.ts";
import { findProgram } from "../support/programs.ts";
import { ResumingClient } from "../support/resuming-client.ts";
import { waitFor } from "../support/wait.ts";

// Also for a plain `bun test`: bunfig.toml's own `timeout` is ignored.
setDefaultTimeout(30_000);
// Without it no test here has a meaning.
findProgram("nginx");
// Also what a failed test has left behind.
afterEach(() => Deployment.endAll());

const CLIENTS = 12;
const MESSAGES = 1200;
const LONG_HISTORY = 'messages_per_second = 0\n[[channels]]\npath = "rooms/{room}"\nhistory = { size = 5000, ttl = "10m" }\n';

/** A backend as its authors should write it: it says everything until it is confirmed, each time under the same key. */
async function publish(url: string, text: string): Promise<number> {
  for (let tries = 1; ; tries += 1) {
    const headers = { "idempotency-key": text };
    const response = await fetch(`${url}/publish/rooms/a`, { method: "POST", body: text, headers }).catch(() => undefined);
    await response?.text();
    if (response?.status === 200) return tries;
    // Anything else would not be for a publisher to repeat.
    if (response !== undefined) expect([response.status, response.headers.get("retry-after")]).toEqual([503, "1"]);
    await Bun.sleep(10);
  }
}

async function publishAll(url: string, turning: ReadonlyMap<number, () => void>): Promise<string[]> {
  const texts = Array.from({ length: MESSAGES }, (_, index) => `message ${index}`);
  for (const [index, text] of texts.entries()) {
    turning.get(index)?.();
    await publish(url, text);
  }
  return texts;
}

/** Two instances, clients that resume through nginx, and what happens to the first instance while messages pass. */
async function underTraffic(fault: (server: Server, deployment: Deployment) => Promise<unknown>): Promise<void> {
  const deployment = await Deployment.start({ more: LONG_HISTORY });
  const { nginx, servers } = deployment;
  const joining = Array.from({ length: CLIENTS }, () => new ResumingClient(() => nginx.port, "rooms/a").start());
  const clients = await Promise.all(joining);
  let done: Promise<unknown> | undefined;
  const texts = await publishAll(nginx.url, new Map([[MESSAGES / 3, () => (done = fault(servers[0], deployment))]]));
  await done;
  const all = (): boolean => clients.every((client) => client.messages.length >= MESSAGES);
  await waitFor("every client to have every message", all);
  for (const client of clients) {
    expect(client.messages).toEqual(texts);
    expect(client.runs.slice(1).map(({ resumed }) => resumed)).toEqual(client.runs.slice(1).map(() => true));
  }
  // Half of them had been there.
  expect(clients.filter(({ runs }) => runs.length > 1).length).toBeWithin(CLIENTS / 2 - 2, CLIENTS / 2 + 3);
  for (const client of clients) await client.stop();
}

describe("behind deploy/nginx.conf", () => {
  test("a drained instance costs resuming clients nothing, and one that was started again gets the next ones", () =>
    underTraffic(async (server, deployment) => {
      const { nginx } = deployment;
      expect(await server.end()).toBe(0);
      await deployment.again(server);
      const late = [1, 2, 3].map(() => Client.join(nginx.port, "/ws/rooms/late"));
      for (const client of await Promise.all(late)) client.destroy();
      const line = { path: "/ws/rooms/late", status: "101", upstream: `127.0.0.1:${server.port}` };
      await waitFor("them to be logged", () => nginx.accesses.filter(({ path }) => path === line.path).length === late.length);
      for (const access of nginx.accesses.filter(({ path }) => path === line.path)) expect(access).toMatchObject(line);
    }));

  test("a killed instance costs resuming clients nothing", () => underTraffic((server) => server.end("SIGKILL")));

  test("handshakes that a draining instance refuses go to the other, and what is posted is never passed on", async () => {
    const deployment = await Deployment.start({ more: `slow_consumer_bytes = 100000000\n${LONG_HISTORY}` });
    const { nginx, servers } = deployment;
    const [draining, other] = servers;
    // Somebody who does not read holds the drain up.
    const slow = await Client.join(draining.port, "/ws/rooms/big");
    const fast = await Client.join(draining.port, "/ws/rooms/big");
    slow.pause();
    for (let index = 0; index < 300; index += 1) {
      fast.send("x".repeat(60_000));
      if (index % 20 === 0) await fast.receive(index);
    }
    await fast.receive(300);
    const ended = draining.end();
    expect(await fast.receiveClose()).toBe(1001);
    for (let index = 0; index < 10; index += 1) (await Client.join(nginx.port, "/ws/rooms/handshakes")).destroy();
    const handshakes = () => nginx.accesses.filter(({ path }) => path === "/ws/rooms/handshakes");
    await waitFor("the handshakes to be logged", () => handshakes().length === 10);
    for (const { upstream, upstream_status } of handshakes()) {
      expect([`127.0.0.1:${other.port}`, `127.0.0.1:${draining.port}, 127.0.0.1:${other.port}`]).toContain(String(upstream));
      expect(["101", "503, 101"]).toContain(String(upstream_status));
    }
    expect(handshakes().filter(({ upstream_status }) => upstream_status === "503, 101").length).toBeGreaterThan(0);
    for (let index = 0; index < 20; index += 1) {
      const response = await fetch(`${nginx.url}/publish/rooms/posts`, { method: "POST", body: String(index) });
      // By turns, and in Lockstep's words.
      if (response.status !== 200) expect(await response.json()).toMatchObject({ type: "urn:lockstep:problem:draining" });
    }
    const posts = nginx.accesses.filter(({ path }) => path === "/publish/rooms/posts");
    expect(new Set(posts.map(({ upstream_status }) => upstream_status))).toEqual(new Set(["200", "503"]));
    slow.resume();
    expect(await slow.receiveClose()).toBe(1001);
    expect(await ended).toBe(0);
  });

  test("a reload of nginx leaves open what is open, and takes what is new", async () => {
    const deployment = await Deployment.start();
    const { nginx } = deployment;
    const client = await Client.join(nginx.port, "/ws/rooms/a");
    const stream = await EventClient.open(`${nginx.url}/sse/rooms/a`);
    await waitFor("the stream to open", () => stream.head !== "");
    await nginx.reload();
    client.send("before and after");
    expect(await client.receive(1)).toEqual(["before and after"]);
    const next = await Client.join(nginx.port, "/ws/rooms/a");
    next.send("new");
    for (const [one, count] of [
      [client, 2],
      [next, 1],
    ] as const)
      expect((await one.receive(count)).at(-1)).toBe("new");
    expect((await stream.receive(2)).map(({ data }) => data)).toEqual(["before and after", "new"]);
    expect([client.closed, stream.ended]).toEqual([false, false]);
    for (const one of [client, next]) one.destroy();
    stream.close();
  });

  test("while Redis is away streams wait, everything else is 503, and all is well as soon as it is back", async () => {
    const deployment = await Deployment.start();
    const { nginx, redis } = deployment;
    const ready = async (): Promise<number> => (await fetch(`${nginx.url}/readyz`)).status;
    await redis.kill();
    await waitFor("readyz to say so", async () => (await ready()) === 503);
    const stream = await EventClient.open(`${nginx.url}/sse/rooms/a`);
    const { answer } = await Client.ask(nginx.port, "/ws/rooms/a");
    expect([answer.status, answer.headers.get("retry-after")]).toEqual([503, "1"]);
    expect(answer.body).toContain("urn:lockstep:problem:bus-away");
    expect([stream.response.status, stream.ended]).toEqual([200, false]);
    await redis.start();
    await waitFor("readyz to say so", async () => (await ready()) === 200);
    const client = await Client.join(nginx.port, "/ws/rooms/a");
    // One of the instances may still be about to hear of it.
    await waitFor("the stream to go on", async () => {
      await fetch(`${nginx.url}/publish/rooms/a`, { method: "POST", body: "hello" });
      return stream.events.length > 0;
    });
    client.destroy();
    stream.close();
  });

  test("while no instance is there a browser's stream is told to come back, and all else is 503", async () => {
    const deployment = await Deployment.start();
    const { nginx, servers } = deployment;
    for (const server of servers) await server.end("SIGKILL");
    const stream = await fetch(`${nginx.url}/sse/rooms/a`);
    expect([stream.status, stream.headers.get("content-type"), stream.headers.get("cache-control")]).toEqual([
      200,
      "text/event-stream",
      "no-store",
    ]);
    expect(await stream.text()).toBe("retry: 1000\n\n");
    const { answer } = await Client.ask(nginx.port, "/ws/rooms/a");
    const posted = await fetch(`${nginx.url}/publish/rooms/a`, { method: "POST", body: "x" });
    for (const headers of [answer.headers, posted.headers]) {
      expect([headers.get("retry-after"), headers.get("content-type")]).toEqual(["1", "application/problem+json"]);
    }
    expect([answer.status, posted.status, await posted.json()]).toEqual([503, 503, expect.objectContaining({ status: 503 })]);
    const again = await deployment.again(servers[1]);
    // At once: nobody was put aside.
    const client = await Client.join(nginx.port, "/ws/rooms/a");
    client.destroy();
    await again.end();
  });
});
