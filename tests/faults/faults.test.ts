import { afterEach, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import type { Redis } from "ioredis";
import { Client } from "../support/client.ts";
import { Instance, plainRooms, type Setup } from "../support/instance.ts";
import { freePort, RedisServer } from "../support/redis.ts";
import { Proxy } from "../support/proxy.ts";
import { waitFor, whileNothingHappens } from "../support/wait.ts";

// Also for a plain `bun test`: bunfig.toml's own `timeout` is ignored.
setDefaultTimeout(30_000);

let redis: RedisServer;
let admin: Redis;
const running: Instance[] = [];

beforeEach(async () => {
  redis = await RedisServer.start();
  admin = redis.client();
});
afterEach(async () => {
  // Back first, so that draining does not wait for it.
  redis.resume();
  await Promise.all(running.splice(0).map((instance) => instance.stop()));
  await redis.stop();
});

async function start(toml = "", env: Setup["env"] = {}): Promise<Instance> {
  const instance = await Instance.start({ env: { REDIS_URL: redis.url, ...env }, toml: `${toml}\n${plainRooms}` });
  running.push(instance);
  return instance;
}

async function killConnection(name: "publisher" | "subscriber"): Promise<void> {
  const list = String(await admin.client("LIST"));
  const ids = list.split("\n").filter((line) => line.includes(`name=lockstep-${name}`));
  for (const line of ids) await admin.client("KILL", "ID", Number(/id=(\d+)/.exec(line)?.[1]));
}

describe("a Redis that is away", () => {
  test("is noticed when it is killed or hangs; clients stay connected", async () => {
    const instance = await start();
    const subscriberIsAway = (): boolean =>
      instance.log.some(({ msg, connection }) => msg === "redis is away" && connection === "subscriber");
    for (const [away, back] of [
      [() => redis.pause(), () => redis.resume()],
      [() => redis.kill(), () => redis.start()],
    ] as const) {
      const client = await instance.join("rooms/a");
      await away();
      await waitFor("readyz to say so", async () => !(await instance.ready()));
      expect((await fetch(`${instance.url}/livez`)).status).toBe(200);
      expect(client.closed).toBe(false);
      // A hang is noticed on one connection a little before the other, and a subscriber that lives through it has no gap.
      await waitFor("the subscriber to be given up", subscriberIsAway);
      await back();
      await waitFor("readyz to be back", () => instance.ready());
      await client.receiveClose();
    }
  });

  test("is noticed behind a network that swallows everything, also while connecting, and found again", async () => {
    const proxy = await Proxy.start(redis.port);
    const instance = await start("", { REDIS_URL: `redis://127.0.0.1:${proxy.port}` });
    proxy.hold();
    await waitFor("readyz to say so", async () => !(await instance.ready()));
    // Long enough for attempts to hang in Redis's greeting: they have to be given up, too.
    await whileNothingHappens(3000);
    proxy.release();
    proxy.cut();
    await waitFor("readyz to be back", () => instance.ready());
    const client = await instance.join("rooms/a");
    client.send("back");
    expect(await client.receive(1)).toEqual(["back"]);
    await instance.stop();
    proxy.stop();
  });

  test("makes upgrades a 503, and lets them in as soon as it is back", async () => {
    const instance = await start();
    await redis.kill();
    const { answer } = await Client.ask(instance.port, "/ws/rooms/refused");
    expect([answer.status, answer.headers.get("retry-after")]).toEqual([503, "1"]);
    const waiting = instance.join("rooms/a");
    await redis.start();
    const client = await waiting;
    client.send("back");
    expect(await client.receive(1)).toEqual(["back"]);
    // Who was refused has left nothing behind.
    await waitFor("the release", async () => Number((await admin.pubsub("NUMSUB", "rooms:refused"))[1]) === 0);
  });

  test("at the start does not keep the server from starting, and is found when it comes", async () => {
    const port = await freePort();
    const instance = await start("", { REDIS_URL: `redis://127.0.0.1:${port}` });
    expect(await instance.ready()).toBe(false);
    expect((await fetch(`${instance.url}/livez`)).status).toBe(200);
    expect((await Client.ask(instance.port, "/ws/rooms/a")).answer.status).toBe(503);
    const late = Bun.spawn(["redis-server", "--port", String(port), "--bind", "127.0.0.1", "--save", ""], { stdout: "ignore" });
    await waitFor("the server to be ready", () => instance.ready());
    const client = await instance.join("rooms/a");
    client.send("live");
    expect(await client.receive(1)).toEqual(["live"]);
    late.kill("SIGKILL");
    await late.exited;
  });

  test("holds publishes back, in order, and has them published when it is back", async () => {
    const instance = await start();
    await redis.kill();
    await waitFor("readyz to say so", async () => !(await instance.ready()));
    const answers = [];
    for (let index = 0; index < 20; index += 1) {
      answers.push(instance.publish("rooms/a", String(index)));
      await Bun.sleep(2);
    }
    const waiting = instance.join("rooms/a");
    await redis.start();
    const client = await waiting;
    expect((await Promise.all(answers)).map(({ status }) => status)).toEqual(answers.map(() => 200));
    await client.receive(20);
    expect(client.messages).toEqual(Array.from({ length: 20 }, (_, index) => String(index)));
  });

  test("makes a publisher wait no longer than the time-out, and what was only queued never arrives", async () => {
    const instance = await start('[limits]\npublish_timeout = "300ms"');
    const client = await instance.join("rooms/b");
    await redis.kill();
    await waitFor("readyz to say so", async () => !(await instance.ready()));
    client.send("never");
    client.send("never again");
    const since = Date.now();
    const response = await instance.publish("rooms/a", "never");
    expect([response.status, response.headers.get("retry-after")]).toEqual([503, "1"]);
    expect(Date.now() - since).toBeWithin(200, 5000);
    expect(await client.receiveClose()).toBe(1013);
    const witness = redis.client();
    const heard: string[] = [];
    await redis.start();
    witness.on("pmessage", (_: string, __: string, message: string) => heard.push(message));
    await witness.psubscribe("*");
    await waitFor("readyz to be back", () => instance.ready());
    await instance.publish("rooms/a", "marker");
    await waitFor("the marker", () => heard.includes("marker"));
    expect(heard.filter((message) => message.startsWith("never"))).toEqual([]);
  });

  test.each([
    ["messages", "publish_queue = 3"],
    ["bytes", "publish_queue_bytes = 3"],
  ])("lets only so many %s wait, and tells the others at once", async (_, limit) => {
    // Nobody waits for so long here: it is refused at once.
    const instance = await start(`[limits]\npublish_timeout = "25s"\n${limit}`);
    const client = await instance.join("rooms/b");
    await redis.kill();
    await waitFor("readyz to say so", async () => !(await instance.ready()));
    let answered = 0;
    const held = [1, 2, 3].map(() => instance.publish("rooms/a", "x").finally(() => (answered += 1)));
    await waitFor("the queue to be full", async () => (await instance.metric("lockstep_publish_queue_messages")) === 3);
    expect((await instance.publish("rooms/a", "x")).status).toBe(503);
    client.send("x");
    expect(await client.receiveClose()).toBe(1013);
    expect(answered).toBe(0);
    await redis.start();
    expect((await Promise.all(held)).map(({ status }) => status)).toEqual([200, 200, 200]);
  });

  test("never drops or doubles what it confirmed, and closes whoever published what it did not confirm", async () => {
    const instance = await start("[limits]\nmessages_per_second = 0");
    const witness = redis.client();
    const heard: number[] = [];
    witness.on("message", (_: string, message: string) => heard.push(Number(message)));
    await witness.subscribe("rooms:a");
    const confirmed: number[] = [];
    for (let index = 0; index < 600; index += 1) {
      if (index % 150 === 75) await killConnection("publisher");
      const response = await instance.publish("rooms/a", String(index));
      if (response.status === 200) confirmed.push(index);
    }
    await waitFor("the last one", () => heard.includes(confirmed.at(-1) ?? 0));
    expect(heard.length).toBe(new Set(heard).size);
    expect(confirmed.filter((index) => !heard.includes(index))).toEqual([]);
    expect(heard).toEqual(heard.toSorted((a, b) => a - b));
  });
});

describe("a lost subscription", () => {
  test("closes with 1013 whoever may have missed something, after sending them nothing more", async () => {
    const instance = await start();
    const old = await Promise.all([1, 2, 3].map(() => instance.join("rooms/a")));
    old[0]?.send("before");
    await Promise.all(old.map((client) => client.receive(1)));
    await killConnection("subscriber");
    const fresh = await instance.join("rooms/a");
    expect(await admin.publish("rooms:a", "after")).toBe(1);
    expect(await fresh.receive(1)).toEqual(["after"]);
    for (const client of old) expect(await client.receiveClose()).toBe(1013);
    for (const client of old) expect(client.messages).toEqual(["before"]);
  });

  test("holds back what is published meanwhile, so that it reaches the instance's own clients", async () => {
    const instance = await start('[[channels]]\npath = "ticker"\non_gap = "ignore"');
    const ticker = await instance.join("ticker");
    for (let round = 0; round < 5; round += 1) {
      await killConnection("subscriber");
      await waitFor("the loss to be noticed", async () => !(await instance.ready()));
      expect((await instance.publish("ticker", `round ${round}`)).status).toBe(200);
      expect((await ticker.receive(round + 1)).at(-1)).toBe(`round ${round}`);
    }
  });

  test("leaves no newcomer deaf when a client with a gap outlives its channel", async () => {
    const instance = await start();
    const [gone, withGap] = await Promise.all([instance.join("rooms/a"), instance.join("rooms/a")]);
    await redis.kill();
    await waitFor("readyz to say so", async () => !(await instance.ready()));
    gone.destroy();
    // Longer than a channel without clients is kept.
    await whileNothingHappens(4500);
    await redis.start();
    expect(await withGap.receiveClose()).toBe(1013);
    const newcomer = await instance.join("rooms/a");
    await whileNothingHappens(4500);
    await instance.publish("rooms/a", "heard");
    expect(await newcomer.receive(1)).toEqual(["heard"]);
  });

  test("of the publishing connection closes nobody", async () => {
    const instance = await start();
    const client = await instance.join("rooms/a");
    await killConnection("publisher");
    await waitFor("readyz to be back", async () => (await instance.ready()) && (await instance.publish("rooms/a", "x")).status === 200);
    expect(await client.receive(1)).toContain("x");
    expect(client.closed).toBe(false);
  });

  test("keeps the clients of a kind that ignores gaps, and goes on delivering to them", async () => {
    const instance = await start('[[channels]]\npath = "ticker"\non_gap = "ignore"\n[[channels]]\npath = "chat"');
    const ticker = await instance.join("ticker");
    const chat = await instance.join("chat");
    await killConnection("subscriber");
    expect(await chat.receiveClose()).toBe(1013);
    await instance.publish("ticker", "still there");
    expect(await ticker.receive(1)).toEqual(["still there"]);
    expect(ticker.closed).toBe(false);
  });

  test("closes at most 500 clients a second", async () => {
    const instance = await start();
    const clients = await Promise.all(Array.from({ length: 700 }, () => instance.join("rooms/a")));
    const sinceMs = Date.now();
    await killConnection("subscriber");
    await waitFor("all to be closed", () => clients.every(({ closed }) => closed));
    expect(Date.now() - sinceMs).toBeGreaterThan(1000);
    expect(clients.every((client) => client.closeCode === 1013)).toBe(true);
  });

  test("is restored for every channel, also when it dies again and again among the acknowledgements", async () => {
    const instance = await start('[[channels]]\npath = "c/{n}"\non_gap = "ignore"');
    const clients = await Promise.all(Array.from({ length: 1500 }, (_, index) => instance.join(`c/${index}`)));
    for (let round = 0; round < 10; round += 1) {
      await killConnection("subscriber");
      await Bun.sleep(round);
    }
    await waitFor("readyz to be back", () => instance.ready());
    for (const index of clients.keys()) await admin.publish(`c:${index}`, `to ${index}`);
    for (const [index, client] of clients.entries()) expect(await client.receive(1)).toEqual([`to ${index}`]);
  });
});
