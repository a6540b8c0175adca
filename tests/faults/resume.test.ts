import { afterEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { cpSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { History } from "../../src/bus/history.ts";
import { openBus } from "../../src/bus/open.ts";
import { Counts } from "../../src/counts.ts";
import { Log } from "../../src/log.ts";
import { Client, frame } from "../support/client.ts";
import { Server } from "../support/executable.ts";
import { Instance } from "../support/instance.ts";
import { Proxy } from "../support/proxy.ts";
import { RedisServer } from "../support/redis.ts";
import { ResumingClient } from "../support/resuming-client.ts";
import { waitFor } from "../support/wait.ts";

setDefaultTimeout(120_000);

const toml = `
[limits]
messages_per_second = 0
publish_timeout = "20s"
[[channels]]
path = "rooms/{room}"
history = { size = 10000, ttl = "10m" }
presence = true
`;

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

async function startRedis(persistence: "none" | "always"): Promise<RedisServer> {
  const redis = await RedisServer.start(persistence);
  ends.push(() => redis.stop());
  return redis;
}

async function startInstance(url: string): Promise<Instance> {
  const instance = await Instance.start({ env: { REDIS_URL: url }, toml });
  ends.push(() => instance.stop());
  return instance;
}

async function startClient(ports: () => number, path: string): Promise<ResumingClient> {
  const client = await new ResumingClient(ports, path).start();
  ends.push(() => client.stop());
  return client;
}

/** Copies what Redis has on disk now; what it returns kills Redis and brings it back with that. */
function keepData(redis: RedisServer): () => Promise<void> {
  const [data, kept] = [join(redis.folder, "appendonlydir"), join(redis.folder, "kept")];
  cpSync(data, kept, { recursive: true });
  return async () => {
    await redis.kill();
    rmSync(data, { recursive: true });
    cpSync(kept, data, { recursive: true });
    await redis.start();
  };
}

const backInTime = (instances: readonly Instance[]): Promise<void> =>
  waitFor("the instances to be ready", async () => (await Promise.all(instances.map((one) => one.ready()))).every(Boolean));

test("a thousand channels with clients are all caught up", async () => {
  const redis = await startRedis("always");
  const proxy = await Proxy.start(redis.port);
  ends.push(() => proxy.stop());
  const [near, far] = [await startInstance(redis.url), await startInstance(`redis://127.0.0.1:${proxy.port}`)];
  const paths = Array.from({ length: 1000 }, (_, index) => `rooms/c${index}`);
  const clients = await Promise.all(paths.map((path) => far.join(path)));
  proxy.hold();
  await waitFor("it to be noticed", async () => !(await far.ready()));
  for (const path of paths) await near.publish(path, `missed ${path}`);
  proxy.cut();
  proxy.release();
  await waitFor("all to have it", () => clients.every(({ messages }) => messages.length === 1));
  for (const [index, client] of clients.entries()) expect([client.messages, client.closed]).toEqual([[`missed ${paths[index]}`], false]);
});

describe("a Redis that forgets", () => {
  test("everything, by a kill or FLUSHALL, is told to each client, which then gets what there is", async () => {
    for (const forget of [
      async (redis: RedisServer) => {
        await redis.kill();
        await redis.start();
      },
      async (redis: RedisServer) => {
        await redis.client().flushall();
      },
    ]) {
      const redis = await startRedis("none");
      const instance = await startInstance(redis.url);
      const client = await startClient(() => instance.port, "rooms/a");
      await instance.publish("rooms/a", "before");
      await waitFor("it", () => client.messages.length === 1);
      await forget(redis);
      await waitFor("readiness", () => instance.ready());
      await instance.publish("rooms/a", "after");
      await waitFor("the rest", () => client.messages.length >= 2);
      expect(client.runs.map(({ resumed, messages }) => [resumed, messages])).toEqual([
        [null, ["before"]],
        [false, ["after"]],
      ]);
      expect(client.runs[0]?.epoch).not.toBe(client.runs[1]?.epoch);
      expect(await instance.metric("lockstep_gaps_total")).toBe(1);
    }
  });

  test("the last messages, so that offsets would be given twice, begins a new epoch, told to all who saw them", async () => {
    const redis = await startRedis("always");
    const [one, two] = [await startInstance(redis.url), await startInstance(redis.url)];
    const clients = await Promise.all([one, two].map((instance) => startClient(() => instance.port, "rooms/a")));
    for (let index = 1; index <= 10; index += 1) await one.publish("rooms/a", `old ${index}`);
    const rollBack = keepData(redis);
    for (let index = 11; index <= 15; index += 1) await one.publish("rooms/a", `old ${index}`);
    await waitFor("all", () => clients.every(({ messages }) => messages.length === 15));
    await rollBack();
    await backInTime([one, two]);
    for (let index = 1; index <= 7; index += 1) await two.publish("rooms/a", `new ${index}`);
    await waitFor("all", () => clients.every(({ messages }) => messages.at(-1) === "new 7"));
    for (const client of clients) {
      expect(client.runs.length).toBe(2);
      const [before, after] = client.runs;
      expect(before?.messages.length).toBe(15);
      expect(after?.resumed).toBe(false);
      expect(after?.epoch).not.toBe(before?.epoch);
      expect(after?.messages).toEqual([1, 2, 3, 4, 5, 6, 7].map((index) => `new ${index}`));
    }
  });

  test("what an instance without clients there published begins a new epoch too, before offsets are given twice", async () => {
    const redis = await startRedis("always");
    const [one, two] = [await startInstance(redis.url), await startInstance(redis.url)];
    for (let index = 1; index <= 10; index += 1) await one.publish("rooms/a", `kept ${index}`);
    const rollBack = keepData(redis);
    let last = "";
    for (let index = 1; index <= 10; index += 1) last = await one.publishId("rooms/a", `lost ${index}`);
    await rollBack();
    await backInTime([one, two]);
    // More than were lost, so that the counter is past the position again.
    for (let index = 1; index <= 15; index += 1) await two.publish("rooms/a", `new ${index}`);
    for (const instance of [one, two]) {
      const client = await Client.join(instance.port, `/ws/rooms/a?since=${last}`);
      expect(client.headers.get("lockstep-resumed")).toBe("false");
      expect((await client.receive(15)).at(-1)).toBe("new 15");
      client.destroy();
    }
  });

  test.each([
    ["has reached", ["new 2", "new 3"]],
    ["is past", ["new 2", "new 3", "new 4"]],
  ])("is found out by what stands there also when the counter %s the position again", async (_, texts) => {
    const redis = await startRedis("none");
    const url = redis.url;
    const limits = { publishQueue: 100, publishQueueBytes: 1e6, publishTimeoutMs: 5000 };
    const log = new Log("error", "json", () => 0);
    const opened = await Promise.all(
      [1, 2].map(() =>
        openBus(
          { url, prefix: "", limits, counts: new Counts(), log },
          { deliver: () => 0, deliverEntries: () => 0, deliverPresence: () => 0, lost: () => 0, restored: () => 0 },
        ),
      ),
    );
    ends.push(() => {
      for (const bus of opened) bus.close();
    });
    const [one, two] = opened.map(({ history }) => history);
    if (one === undefined || two === undefined) throw new Error("no history");
    const retention = { size: 100, ttlMs: 60_000 };
    const append = (history: History, text: string): Promise<unknown> =>
      new Promise((confirmed, refused) => history.append("a", text, retention, { confirmed, refused, broken: false }));
    const page = { limit: 100, bytes: 1e6, keepsAlive: true };
    await append(one, "old 1");
    const admin = redis.client();
    const dump = await Promise.all(["head", "log"].map((key) => admin.dumpBuffer(`lockstep:{a}:${key}`)));
    for (const text of ["old 2", "old 3"]) await append(one, text);
    const seen = await one.read("a", retention, page);
    // No connection is lost, as behind a proxy that fails over, and the other instance has seen nothing of what Redis loses.
    const [head, entries] = dump;
    await admin.restore("lockstep:{a}:head", 0, head ?? "", "REPLACE");
    await admin.restore("lockstep:{a}:log", 0, entries ?? "", "REPLACE");
    for (const text of texts) await append(two, text);
    const after = await one.read("a", retention, {
      ...page,
      since: { epoch: seen.epoch, offset: 3 },
      ...(seen.checkpoint === undefined ? {} : { checkpoint: seen.checkpoint }),
    });
    expect([after.resumed, after.epoch === seen.epoch]).toEqual([false, false]);
  });

  test("or holds something else where a log is, harms nobody", async () => {
    const redis = await startRedis("none");
    const instance = await startInstance(redis.url);
    await redis.client().set("lockstep:{rooms:a}:once:k", "garbage");
    expect((await instance.publish("rooms/a", "x", { "idempotency-key": "k" })).status).toBe(200);
    await instance.publish("rooms/b", "x");
    await redis.client().set("lockstep:{rooms:b}:log", "garbage");
    expect((await instance.publish("rooms/b", "y")).status).toBe(200);
    const kept: unknown = await (await fetch(`${instance.url}/history/rooms/b`)).json();
    expect(kept).toMatchObject({ messages: [{ text: "y" }] });
    await redis.client().set("lockstep:{rooms:b}:head", "garbage");
    expect((await instance.publish("rooms/b", "z")).status).toBe(503);
    expect((await instance.publish("rooms/a", "y")).status).toBe(200);
  });

  test("its scripts, is told them again, and nobody notices", async () => {
    const redis = await startRedis("none");
    const instance = await startInstance(redis.url);
    const client = await startClient(() => instance.port, "rooms/a");
    const admin = redis.client();
    for (let index = 0; index < 5; index += 1) {
      await admin.script("FLUSH");
      expect((await instance.publish("rooms/a", String(index))).status).toBe(200);
      await (await fetch(`${instance.url}/history/rooms/a`)).text();
      await admin.script("FLUSH");
      expect((await fetch(`${instance.url}/presence/rooms/a`)).status).toBe(200);
    }
    await waitFor("all", () => client.messages.length === 5);
    expect([client.messages, client.runs.length]).toEqual([["0", "1", "2", "3", "4"], 1]);
  });

  test("who is present, hears it again within some seconds; and it forgets a killed instance within 30 s", async () => {
    const redis = await startRedis("none");
    const instance = await startInstance(redis.url);
    const doomed = await Server.start({ REDIS_URL: redis.url });
    const count = async (): Promise<unknown> => {
      const body: unknown = await (await fetch(`${instance.url}/presence/rooms/p`)).json();
      return typeof body === "object" && body !== null && "count" in body ? body.count : undefined;
    };
    await startClient(() => instance.port, "rooms/p");
    await startClient(() => doomed.port, "rooms/p");
    await waitFor("two", async () => (await count()) === 2);
    await redis.client().flushall();
    expect(await count()).toBe(0);
    await waitFor("two again", async () => (await count()) === 2, 10_000);
    await doomed.end("SIGKILL");
    const since = Date.now();
    await waitFor("one", async () => (await count()) === 1, 31_000);
    expect(Date.now() - since).toBeLessThan(30_000);
  });
});

test("a crowd that comes at once to a Redis far away is let in", async () => {
  const redis = await startRedis("none");
  const proxy = await Proxy.start(redis.port, 4);
  ends.push(() => proxy.stop());
  const instance = await startInstance(`redis://127.0.0.1:${proxy.port}`);
  const joins: Promise<number>[] = [];
  // For longer than one may wait: each must get in while others come.
  for (const endMs = Date.now() + 3500; Date.now() < endMs; await Bun.sleep(2)) {
    joins.push(Client.ask(instance.port, "/ws/rooms/crowd?recent=1").then(({ answer }) => answer.status));
  }
  expect(new Set(await Promise.all(joins))).toEqual(new Set([101]));
});

test("clients that send as fast as they can while Redis hangs are closed at the queue's bound, and cost no more than that", async () => {
  const redis = await startRedis("none");
  const instance = await startInstance(redis.url);
  const kept = await startClient(() => instance.port, "rooms/flood");
  const flooders = await Promise.all(["flood", "other"].map((room) => Client.join(instance.port, `/ws/rooms/${room}`)));
  const before = process.memoryUsage.rss();
  redis.pause();
  const text = frame(1, "x".repeat(500));
  const burst = Buffer.concat(Array.from({ length: 1000 }, () => text));
  for (let sent = 0; sent < 200 && flooders.some(({ closed }) => !closed); sent += 1) {
    for (const flooder of flooders) flooder.write(burst);
    await Bun.sleep(10);
  }
  for (const flooder of flooders) expect(await flooder.receiveClose()).toBe(1013);
  expect(await instance.metric("lockstep_publish_queue_messages")).toBeLessThan(70_000);
  expect(process.memoryUsage.rss() - before).toBeLessThan(300 * 1024 * 1024);
  redis.resume();
  await backInTime([instance]);
  // What the flooders had waiting goes first, or is dropped: until then there may be no room.
  await waitFor("room in the queue", async () => (await instance.publish("rooms/flood", "the end")).status === 200);
  await waitFor("the end", () => kept.messages.at(-1) === "the end", 15_000);
  // Whatever it was told meanwhile, by counting it knows where it is.
  expect(kept.position).toBe((await (await fetch(`${instance.url}/history/rooms/flood`)).text()).match(/"position":"([^"]+)"/)?.[1]);
  await waitFor("an empty queue", async () => (await instance.metric("lockstep_publish_queue_messages")) === 0);
  for (const flooder of flooders) flooder.destroy();
});

test("what expired while Redis was away keeps no instance from ending at once", async () => {
  const redis = await startRedis("none");
  const instance = await Instance.start({ env: { REDIS_URL: redis.url }, toml: toml.replace("20s", "300ms") });
  await redis.kill();
  expect((await instance.publish("rooms/a", "x")).status).toBe(503);
  const since = Date.now();
  await instance.drain();
  expect(Date.now() - since).toBeLessThan(5000);
});

test("a client goes on where it was on another instance when its own is killed", async () => {
  const redis = await startRedis("none");
  const instance = await startInstance(redis.url);
  const doomed = await Server.start({ REDIS_URL: redis.url });
  let port = doomed.port;
  const client = await startClient(() => port, "rooms/a");
  for (let index = 0; index < 50; index += 1) {
    if (index === 25) {
      port = instance.port;
      await doomed.end("SIGKILL");
    }
    await instance.publish("rooms/a", String(index));
  }
  await waitFor("all", () => client.messages.length === 50);
  expect(client.messages).toEqual(Array.from({ length: 50 }, (_, index) => String(index)));
  expect(client.runs.map(({ resumed }) => resumed)).toEqual([null, true]);
});

test("1,200 messages of 30 kB cost the process less than 100 MB for a client that does not read, which is closed with 1013", async () => {
  const server = await Server.start({});
  const slow = await Client.join(server.port, "/ws/rooms/a");
  const healthy = await startClient(() => server.port, "rooms/a");
  slow.pause();
  const residentMb = async (): Promise<number> =>
    Number(/VmRSS:\s+(\d+)/.exec(await Bun.file(`/proc/${server.pid}/status`).text())?.[1]) / 1024;
  const before = await residentMb();
  const big = "x".repeat(30_000);
  for (let index = 0; index < 1200; index += 1) {
    await (await fetch(`http://127.0.0.1:${server.port}/publish/rooms/a`, { method: "POST", body: `${index} ${big}` })).text();
  }
  expect((await residentMb()) - before).toBeLessThan(100);
  await waitFor("the healthy one to have all", () => healthy.messages.length === 1200);
  slow.resume();
  expect(await slow.receiveClose()).toBe(1013);
  const got = slow.messages.map((message) => Number(String(message).split(" ")[0]));
  expect(got).toEqual(got.map((_, index) => index));
  expect(slow.closeReason?.endsWith(`-${got.length}`)).toBe(true);
  slow.destroy();
});
