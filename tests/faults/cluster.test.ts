import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { connect } from "node:net";
import type { Redis } from "ioredis";
import { Client, frame } from "../support/client.ts";
import { Instance } from "../support/instance.ts";
import { RedisServer } from "../support/redis.ts";
import { waitFor, whileNothingHappens } from "../support/wait.ts";

// Also for a plain `bun test`: bunfig.toml's own `timeout` is ignored.
setDefaultTimeout(30_000);

describe("three instances on one Redis", () => {
  let redis: RedisServer;
  let foreign: Redis;
  let one: Instance;
  let two: Instance;
  let three: Instance;
  beforeAll(async () => {
    redis = await RedisServer.start();
    foreign = redis.client();
    const setup = { env: { REDIS_URL: redis.url }, toml: "[limits]\nmessages_per_second = 0" };
    [one, two, three] = await Promise.all([Instance.start(setup), Instance.start(setup), Instance.start(setup)]);
  });
  afterAll(async () => {
    await Promise.all([one, two, three].map((instance) => instance.stop()));
    await redis.stop();
  });

  test("are ready as soon as they have started", async () => {
    for (const instance of [one, two, three]) expect(await instance.ready()).toBe(true);
  });

  test("show all clients one order of what four senders send, text and binary", async () => {
    const clients = await Promise.all([one, two, three, one].map((instance) => instance.join("rooms/order")));
    const perSender = 500;
    for (let index = 0; index < perSender; index += 1) {
      for (const [sender, client] of clients.entries())
        client.send(index % 5 === 0 ? Buffer.from(`${sender} ${index}`) : `${sender} ${index}`);
      if (index % 50 === 0) await Bun.sleep(1);
    }
    const seen = await Promise.all(clients.map((client) => client.receive(4 * perSender)));
    for (const other of seen) expect(other).toEqual(seen[0] ?? []);
    for (const sender of clients.keys()) {
      const own = (seen[0] ?? []).map(String).filter((message) => message.startsWith(`${sender} `));
      expect(own).toEqual(Array.from({ length: perSender }, (_, index) => `${sender} ${index}`));
    }
  });

  test("miss no first message of 200 fresh channels, joined on one and published on another", async () => {
    for (let index = 0; index < 200; index += 1) {
      const client = await one.join(`rooms/fresh-${index}`);
      await two.publish(`rooms/fresh-${index}`, `first ${index}`);
      expect(await client.receive(1)).toEqual([`first ${index}`]);
      client.destroy();
    }
  });

  test("pass on what other programs publish, and let them read what clients send", async () => {
    const clients = [await one.join("ws_example_channel"), await two.join("ws_example_channel")];
    const heard: string[] = [];
    const reader = redis.client();
    reader.on("message", (_: string, message: string) => heard.push(message));
    await reader.subscribe("ws_example_channel");
    expect(await foreign.publish("ws_example_channel", "hello 测试")).toBe(3);
    await foreign.publish("ws_example_channel", Buffer.from([0xff, 0x41]));
    clients[0]?.send("from a client");
    const ticks = /^TODO /;
    for (const client of clients) {
      const seen = (): (string | Buffer)[] => client.messages.filter((message) => !ticks.test(String(message)));
      await waitFor("three messages", () => seen().length === 3);
      expect(seen()).toEqual(["hello 测试", Buffer.from([0xff, 0x41]), "from a client"]);
    }
    await waitFor("the client's text", () => heard.includes("from a client"));
    expect(heard).toContain("hello 测试");
  });

  test("are subscribed only while they have clients, and a while longer", async () => {
    const client = await one.join("rooms/held");
    const subscribed = async (): Promise<number> => Number((await foreign.pubsub("NUMSUB", "rooms:held"))[1]);
    expect(await subscribed()).toBe(1);
    client.destroy();
    await whileNothingHappens(1000);
    expect(await subscribed()).toBe(1);
    await waitFor("the release", async () => (await subscribed()) === 0);
    const again = await one.join("rooms/held");
    again.send("works again");
    expect(await again.receive(1)).toEqual(["works again"]);
  });

  test("hear a client that comes back while its channel is still kept, also later", async () => {
    const before = await one.join("rooms/again");
    before.destroy();
    await whileNothingHappens(500);
    const back = await one.join("rooms/again");
    await whileNothingHappens(5000);
    await two.publish("rooms/again", "heard");
    expect(await back.receive(1)).toEqual(["heard"]);
  });

  test("let go of a channel whose client vanished before it was in", async () => {
    const subscribed = async (): Promise<number> => Number((await foreign.pubsub("NUMSUB", "rooms:vanished"))[1]);
    for (let index = 0; index < 20; index += 1) {
      const socket = connect(one.port, "127.0.0.1");
      const handshake =
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
      socket.write(`GET /ws/rooms/vanished HTTP/1.1\r\nHost: a\r\n${handshake}\r\n\r\n`);
      await Bun.sleep(index % 3);
      socket.resetAndDestroy();
    }
    await waitFor("the subscription", async () => (await subscribed()) === 1);
    await waitFor("the release", async () => (await subscribed()) === 0);
  });

  test("write a burst that comes in one turn, however little may wait while Redis is away", async () => {
    const toml = "[limits]\nmessages_per_second = 0\npublish_queue = 0\npublish_queue_bytes = 0";
    const instance = await Instance.start({ env: { REDIS_URL: redis.url }, toml });
    const client = await instance.join("rooms/burst");
    client.write(Buffer.concat(Array.from({ length: 20_000 }, (_, index) => frame(1, String(index)))));
    const seen = await client.receive(20_000);
    expect(seen).toEqual(seen.map((_, index) => String(index)));
    await instance.stop();
  });

  test("do not suffer for a channel that Redis does not permit", async () => {
    await foreign.acl("SETUSER", "some", "on", ">pw", "~*", "+@all", "resetchannels", "&rooms:*");
    const instance = await Instance.start({ env: { REDIS_URL: redis.url.replace("//", "//some:pw@") } });
    const permitted = await instance.join("rooms/a");
    const [refused, meanwhile] = await Promise.all([Client.ask(instance.port, "/ws/ws_example_channel"), instance.join("rooms/b")]);
    expect(refused.answer.status).toBe(503);
    meanwhile.send("b");
    expect(await meanwhile.receive(1)).toEqual(["b"]);
    permitted.send("a");
    expect(await permitted.receive(1)).toEqual(["a"]);
    expect(await instance.ready()).toBe(true);
    // Permissions change.
    const waiting = instance.join("ws_example_channel");
    await foreign.acl("SETUSER", "some", "&ws_*");
    const now = await waiting;
    await foreign.publish("ws_example_channel", "permitted");
    await waitFor("the message", () => now.messages.includes("permitted"));
    await instance.stop();
  });

  test("with a prefix are apart from the others on the same Redis", async () => {
    const apart = await Instance.start({
      env: { REDIS_URL: redis.url },
      toml: `[redis]\nprefix = "apart:"\n[[channels]]\npath = "chat"\n[[channels]]\npath = "rooms/{room}"\nhistory = {}`,
    });
    const plain = await apart.join("chat");
    expect(await foreign.publish("apart:chat", "inside")).toBe(1);
    expect(await plain.receive(1)).toEqual(["inside"]);
    const [inside, outside] = [await apart.join("rooms/apart"), await one.join("rooms/apart")];
    inside.send("inside");
    outside.send("outside");
    expect(await inside.receive(1)).toEqual(["inside"]);
    expect(await outside.receive(1)).toEqual(["outside"]);
    expect((await foreign.keys("*rooms:apart*")).filter((key) => key.startsWith("apart:")).length).toBe(2);
    await apart.stop();
  });
});
