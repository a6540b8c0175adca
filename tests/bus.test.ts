import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import type { Bus, Entries, Sender } from "../src/bus/bus.ts";
import { openBus } from "../src/bus/open.ts";
import { Counts } from "../src/counts.ts";
import type { Problem } from "../src/errors.ts";
import { Log } from "../src/log.ts";
import type { Message } from "../src/message.ts";
import { buses } from "./buses.ts";
import { waitFor, whileNothingHappens } from "./support/wait.ts";

const limits = { publishQueue: 10_000, publishQueueBytes: 1 << 26, publishTimeoutMs: 5000 };

interface Opened {
  readonly bus: Bus;
  readonly delivered: [channel: string, message: Message][];
  readonly read: [channel: string, entries: Entries][];
}

/** A sender that remembers what it was told. */
function sender(): Sender & { told: (string | null | Problem)[] } {
  const told: (string | null | Problem)[] = [];
  return { told, broken: false, confirmed: (id) => told.push(id), refused: (problem) => told.push(problem) };
}

for (const { name, start } of buses) {
  describe(`the ${name} bus`, () => {
    let running: { url: string; stop(): Promise<void> };
    const opened: Bus[] = [];
    beforeAll(async () => {
      running = await start();
    });
    afterEach(() => {
      for (const bus of opened.splice(0)) bus.close();
    });
    afterAll(() => running.stop());

    async function open(prefix = ""): Promise<Opened> {
      const delivered: [string, Message][] = [];
      const read: [string, Entries][] = [];
      const listener = {
        deliver: (channel: string, message: Message) => delivered.push([channel, message]),
        deliverEntries: (channel: string, entries: Entries) => read.push([channel, entries]),
        lost: () => 0,
        restored: () => 0,
      };
      const bus = await openBus(
        { url: running.url, prefix, limits, counts: new Counts(), log: new Log("error", "json", () => 0) },
        listener,
      );
      opened.push(bus);
      return { bus, delivered, read };
    }

    test("is ready when it has opened", async () => {
      expect((await open()).bus.ready).toBe(true);
    });

    test("delivers to the publisher what it published, text as text and bytes as bytes", async () => {
      const { bus, delivered } = await open();
      await bus.subscribe("a");
      const messages: Message[] = [
        "",
        "hello",
        "测试 \u{feff}\u0000",
        '{"a": 1}',
        Buffer.from([]),
        Buffer.from([0xff, 0x01, 0x00, 0x80]),
        Buffer.from("text"),
      ];
      const told = sender();
      for (const message of messages) bus.publish("a", message, told);
      await waitFor("all of them", () => delivered.length === messages.length);
      expect(delivered).toEqual(messages.map((message) => ["a", message]));
      expect(told.told).toEqual(messages.map(() => null));
    });

    test("keeps the order of one sender, also across channels and many turns", async () => {
      const { bus, delivered } = await open();
      await Promise.all(["a", "b"].map((channel) => bus.subscribe(channel)));
      for (let index = 0; index < 5000; index += 1) {
        bus.publish(index % 2 === 0 ? "a" : "b", String(index), sender());
        if (index % 500 === 0) await new Promise(setImmediate);
      }
      await waitFor("all of them", () => delivered.length === 5000);
      expect(delivered.map(([, message]) => Number(message))).toEqual(Array.from({ length: 5000 }, (_, index) => index));
    });

    test("misses nothing that is published after a subscription resolves, however new the channel", async () => {
      const { bus, delivered } = await open();
      for (let index = 0; index < 200; index += 1) {
        await bus.subscribe(`fresh-${index}`);
        bus.publish(`fresh-${index}`, "first", sender());
      }
      await waitFor("200 first messages", () => delivered.length === 200);
    });

    test("takes what was given up and asked for again for a new subscription", async () => {
      const { bus, delivered } = await open();
      for (let round = 0; round < 20; round += 1) {
        void bus.subscribe("again");
        bus.unsubscribe("again");
        await bus.subscribe("again");
        bus.publish("again", String(round), sender());
        await waitFor("the message", () => delivered.length === round + 1);
        bus.unsubscribe("again");
      }
      expect(delivered.map(([, message]) => message)).toEqual(Array.from({ length: 20 }, (_, round) => String(round)));
    });

    test("delivers once to who asked twice, and takes names literally", async () => {
      const { bus, delivered } = await open();
      const names = ["__proto__", "*", "{tag}", "房间", "a:b", "constructor", "[a-z]", "with space"];
      for (const channel of names) await Promise.all([bus.subscribe(channel), bus.subscribe(channel)]);
      for (const channel of names) bus.publish(channel, channel, sender());
      await waitFor("all of them", () => delivered.length >= names.length);
      await bus.settled();
      expect(delivered).toEqual(names.map((channel) => [channel, channel]));
    });

    test("has delivered what it confirmed once it is settled", async () => {
      const { bus, delivered } = await open();
      await bus.subscribe("a");
      const told = sender();
      for (let index = 0; index < 1000; index += 1) bus.publish("a", "x", told);
      await bus.settled();
      expect(told.told.length).toBe(1000);
      expect(delivered.length).toBe(1000);
    });

    test("publishes a tick, and delivers it as text", async () => {
      const { bus, delivered } = await open();
      await bus.subscribe("a");
      expect(
        await bus.publishTick({ schedule: "s1", dueMs: Date.now(), periodMs: 1000, channel: "a", retention: undefined, text: "tick 测试" }),
      ).toBe(true);
      await waitFor("the tick", () => delivered.length === 1);
      expect(delivered).toEqual([["a", "tick 测试"]]);
    });

    test("refuses what is published after it was closed", async () => {
      const { bus, delivered } = await open();
      await bus.subscribe("a");
      bus.close();
      const told = sender();
      bus.publish("a", "late", told);
      expect(told.told.map(String)).toEqual([expect.stringContaining("shutting down")]);
      await whileNothingHappens(50);
      expect(delivered).toEqual([]);
      expect(bus.ready).toBe(false);
    });
  });
}
