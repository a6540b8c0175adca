import { afterEach, beforeEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import type { Bus, Shard } from "../../src/bus/bus.ts";
import type { Sender } from "../../src/bus/publisher.ts";
import type { Entries } from "../../src/bus/history.ts";
import { openRedisBusOn } from "../../src/bus/redis/bus.ts";
import { Counts } from "../../src/counts.ts";
import { Log } from "../../src/log.ts";
import type { Message } from "../../src/message.ts";
import { twoShards } from "./buses.ts";
import { RedisServer } from "../support/redis.ts";
import { waitFor } from "../support/wait.ts";

// Also for a plain `bun test`: bunfig.toml's own `timeout` is ignored.
setDefaultTimeout(30_000);

const limits = { publishQueue: 1000, publishQueueBytes: 1 << 20, publishTimeoutMs: 20_000 };
const retention = { size: 1000, ttlMs: 60_000 };

/** Two Redis servers share the channels, and one of them dies. */
describe("a bus with two shards", () => {
  let servers: RedisServer[];
  let bus: Bus;
  let delivered: [channel: string, message: Message][];
  let entries: [channel: string, entries: Entries][];
  /** What the listener was told of shards, in order. */
  let events: string[];
  let lostShards: Shard[];
  /** A channel of the shard that dies, and one of the other. */
  let dying: string;
  let staying: string;

  function open(): Promise<Bus> {
    return openRedisBusOn(
      twoShards(servers),
      { url: "", prefix: "", limits, counts: new Counts(), log: new Log("error", "json", () => 0) },
      {
        deliver: (channel, message) => delivered.push([channel, message]),
        deliverEntries: (channel, some) => entries.push([channel, some]),
        deliverPresence: () => undefined,
        lost: (shard) => {
          events.push(`lost ${shard.name}`);
          lostShards.push(shard);
        },
        restored: (shard) => events.push(`restored ${shard.name}`),
      },
    );
  }

  beforeEach(async () => {
    servers = [await RedisServer.start("always"), await RedisServer.start()];
    const topology = twoShards(servers);
    const channels = Array.from({ length: 50 }, (_, index) => `channel ${index}`);
    dying = channels.find((channel) => topology.indexOf(channel) === 0) ?? "";
    staying = channels.find((channel) => topology.indexOf(channel) === 1) ?? "";
    [delivered, entries, events, lostShards] = [[], [], [], []];
    bus = await open();
    for (const channel of [dying, staying]) await bus.subscribe(channel);
  });
  afterEach(async () => {
    bus.close();
    servers[0]?.resume();
    await Promise.all(servers.map((server) => server.stop()));
  });

  /** Resolves to "confirmed", or the fault. */
  function publish(channel: string, message: string, kept = false): Promise<string> {
    return new Promise((resolve) => {
      const sender: Sender = { broken: false, confirmed: () => resolve("confirmed"), refused: ({ fault }) => resolve(fault) };
      if (kept) bus.history?.append(channel, message, retention, sender);
      else bus.publish(channel, message, sender);
    });
  }

  const texts = (channel: string): Message[] => delivered.flatMap(([on, message]) => (on === channel ? [message] : []));
  const keptTexts = (channel: string): Message[] => entries.flatMap(([on, some]) => (on === channel ? some.messages : []));

  test("tells which shard has a channel", () => {
    expect(events.toSorted()).toEqual(["restored shard 0", "restored shard 1"]);
    expect([bus.ready(), bus.ready(dying), bus.ready(staying)]).toEqual([true, true, true]);
  });

  test.each([
    ["is killed", () => servers[0]?.kill(), () => servers[0]?.start()],
    ["hangs", () => servers[0]?.pause(), () => servers[0]?.resume()],
  ] as const)("of which one %s: channels of the other notice nothing, and its own come back whole", async (_, away, back) => {
    events.length = 0;
    await publish(dying, "before", true);
    const answers: Promise<string>[] = [];
    let count = 0;
    /** Publishes on the shard that stays, all the while. */
    const publishing = setInterval(() => {
      answers.push(publish(staying, `plain ${count}`), publish(staying, `kept ${count}`, true));
      count += 1;
    }, 5);
    await away();
    await waitFor("the loss to be noticed", () => events.length > 0);
    await waitFor("both of its connections to be given up", () => !bus.ready(dying));
    expect(events).toEqual(["lost shard 0"]);
    expect(lostShards.map((shard) => [shard.has(dying), shard.has(staying)])).toEqual([[true, false]]);
    expect([bus.ready(), bus.ready(dying), bus.ready(staying)]).toEqual([false, false, true]);
    // What is published on the dead one waits, and reading says at once that it cannot be had.
    const held = [publish(dying, "plain while away"), publish(dying, "kept while away", true)];
    expect(await publish(staying, "meanwhile", true)).toBe("confirmed");
    const read = { limit: 10, bytes: 1e6, keepsAlive: false };
    await waitFor(
      "the publisher to be given up",
      async () => (await bus.history?.read(dying, retention, read).catch(() => "away")) === "away",
    );
    expect((await bus.history?.read(staying, retention, read))?.messages.length).toBeGreaterThan(0);
    expect(bus.subscribe(staying)).toBeUndefined();
    const pending = bus.subscribe(dying);
    expect(pending).toBeInstanceOf(Promise);
    await back();
    await pending;
    await waitFor("it to be back", () => bus.ready());
    expect(events).toEqual(["lost shard 0", "restored shard 0"]);
    expect(await Promise.all(held)).toEqual(["confirmed", "confirmed"]);
    clearInterval(publishing);
    expect(new Set(await Promise.all(answers))).toEqual(new Set(["confirmed"]));
    await bus.settled();
    expect(texts(staying)).toEqual(Array.from({ length: count }, (_item, index) => `plain ${index}`));
    expect(keptTexts(staying).filter((text) => text !== "meanwhile")).toEqual(
      Array.from({ length: count }, (_item, index) => `kept ${index}`),
    );
    expect(texts(dying)).toEqual(["plain while away"]);
    const page = await bus.history?.read(dying, retention, read);
    expect(page?.messages).toEqual(["before", "kept while away"]);
  });

  test("opens with one of them away, and finds it when it comes", async () => {
    bus.close();
    await servers[0]?.kill();
    events.length = 0;
    bus = await open();
    await waitFor("the other one to be live", () => bus.ready(staying));
    await bus.subscribe(staying);
    expect([bus.ready(), bus.ready(dying), events]).toEqual([false, false, ["restored shard 1"]]);
    expect(await publish(staying, "x")).toBe("confirmed");
    const held = publish(dying, "x");
    await servers[0]?.start();
    expect(await held).toBe("confirmed");
    expect(events).toEqual(["restored shard 1", "restored shard 0"]);
  });

  test("refuses what waits too long for one of them, and nothing of the other", async () => {
    await servers[0]?.kill();
    await waitFor("the loss to be noticed", () => !bus.ready(dying));
    const held = Array.from({ length: limits.publishQueue }, () => publish(dying, "x"));
    expect(await publish(dying, "one more")).toBe("queue-full");
    expect(await publish(staying, "x")).toBe("confirmed");
    expect(await publish(staying, "x", true)).toBe("confirmed");
    expect(bus.waiting).toBe(limits.publishQueue);
    bus.close();
    expect(new Set(await Promise.all(held))).toEqual(new Set(["not-confirmed"]));
  });
});
