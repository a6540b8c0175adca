import { describe, expect, test } from "bun:test";
import { connect, type Socket } from "node:net";
import { buses } from "../../bus/buses.ts";
import { Client } from "../../support/client.ts";
import { Instance, plainRooms } from "../../support/instance.ts";
import { RedisServer } from "../../support/redis.ts";
import { waitFor } from "../../support/wait.ts";

for (const bus of buses) {
  test(`draining over the ${bus.name} bus closes with 1001 after everything that was sent`, async () => {
    const running = await bus.start();
    const instance = await Instance.start({ env: { REDIS_URL: running.url }, toml: "[limits]\nmessages_per_second = 0" });
    const sender = await instance.join("rooms/a");
    const readers = await Promise.all(Array.from({ length: 50 }, () => instance.join("rooms/a")));
    for (let index = 0; index < 2000; index += 1) sender.send(String(index));
    await sender.receive(1);
    // It may come too late to be accepted at all; then nobody has seen it either.
    const published = instance.publish("rooms/a", "in flight").then(
      ({ status }) => status,
      () => 0,
    );
    await Bun.sleep(0);
    const drained = instance.drain();
    for (const reader of readers) expect(await reader.receiveClose()).toBe(1001);
    await drained;
    const status = await published;
    const seen = readers[0]?.messages ?? [];
    for (const reader of readers) expect(reader.messages).toEqual(seen);
    const numbers = seen.filter((message) => message !== "in flight").map(Number);
    expect(numbers).toEqual(numbers.map((_, index) => index));
    expect(seen.includes("in flight")).toBe(status === 200);
    await running.stop();
  });
}

describe("draining", () => {
  test("lets a slow client have what was sent to it, and refuses what is new", async () => {
    const instance = await Instance.start({ toml: "[limits]\nmessages_per_second = 0\nslow_consumer_bytes = 100000000" });
    const slow = await instance.join("rooms/a");
    const fast = await instance.join("rooms/a");
    slow.pause();
    const text = "x".repeat(60_000);
    for (let index = 0; index < 300; index += 1) {
      fast.send(`${index} ${text}`);
      if (index % 20 === 0) await fast.receive(index);
    }
    await fast.receive(300);
    const drained = instance.drain();
    expect(await fast.receiveClose()).toBe(1001);
    expect((await fetch(`${instance.url}/livez`)).status).toBe(200);
    expect((await fetch(`${instance.url}/readyz`)).status).toBe(503);
    expect((await instance.publish("rooms/a", "late")).status).toBe(503);
    expect((await Client.ask(instance.port, "/ws/rooms/a")).answer.status).toBe(503);
    slow.send("not heard any more");
    slow.resume();
    expect(await slow.receiveClose()).toBe(1001);
    await drained;
    expect(slow.messages.length).toBe(300);
  });

  test("lets who reads a long history have it whole, and waits for nobody who has gone", async () => {
    const instance = await Instance.start({ toml: '[[channels]]\npath = "long/{room}"\nhistory = { size = 400, ttl = "1m" }' });
    for (let index = 0; index < 400; index += 1) await instance.publish("long/a", "x".repeat(60_000));
    const ask = (): { reader: Socket; received: () => number; whole: () => boolean } => {
      const reader = connect(instance.port, "127.0.0.1");
      let bytes = 0;
      let end = "";
      reader.on("data", (part: Buffer) => {
        bytes += part.length;
        end = (end + part.toString("latin1")).slice(-20);
      });
      reader.write("GET /history/long/a?limit=400 HTTP/1.1\r\nHost: localhost\r\n\r\n");
      return { reader, received: () => bytes, whole: () => end.endsWith("]}\r\n0\r\n\r\n") };
    };
    const [stays, goes] = [ask(), ask()];
    await waitFor("the beginning", () => stays.received() > 60_000 && goes.received() > 60_000);
    for (const { reader } of [stays, goes]) reader.pause();
    const startedMs = Date.now();
    const drained = instance.drain();
    await Bun.sleep(500);
    goes.reader.destroy();
    stays.reader.resume();
    await waitFor("the rest", stays.whole);
    await drained;
    expect(Date.now() - startedMs).toBeLessThan(9000);
  });

  test("hears nobody any more, while it publishes what it had taken before", async () => {
    const redis = await RedisServer.start();
    const instance = await Instance.start({ env: { REDIS_URL: redis.url }, toml: plainRooms });
    const heard: string[] = [];
    const witness = redis.client();
    witness.on("message", (_: string, message: string) => heard.push(message));
    await witness.subscribe("rooms:a");
    const client = await instance.join("rooms/a");
    redis.pause();
    client.send("taken");
    await Bun.sleep(50);
    const drained = instance.drain();
    client.send("too late");
    await Bun.sleep(50);
    redis.resume();
    expect(await client.receiveClose()).toBe(1001);
    await drained;
    expect(client.messages).toEqual(["taken"]);
    expect(heard).toEqual(["taken"]);
    await redis.stop();
  });

  test("waits no longer than its time-out, for a client that does not read or a Redis that is away", async () => {
    const redis = await RedisServer.start();
    const toml = '[server]\ndrain_timeout = "500ms"\n[limits]\nmessages_per_second = 0\nslow_consumer_bytes = 100000000';
    const instance = await Instance.start({ env: { REDIS_URL: redis.url }, toml });
    const stuck = await instance.join("rooms/a");
    const fast = await instance.join("rooms/a");
    stuck.pause();
    for (let index = 0; index < 300; index += 1) fast.send("x".repeat(60_000));
    await fast.receive(300);
    await redis.kill();
    await waitFor("readyz to say so", async () => !(await instance.ready()));
    const held = instance.publish("rooms/a", "never");
    await Bun.sleep(20);
    const since = Date.now();
    await instance.drain();
    expect(Date.now() - since).toBeWithin(400, 5000);
    expect((await held).status).toBe(503);
    stuck.destroy();
    await redis.stop();
  });
});
