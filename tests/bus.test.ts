import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import type { Bus, Entries, History, Page, ReadFrom, Sender } from "../src/bus/bus.ts";
import { openBus } from "../src/bus/open.ts";
import { Counts } from "../src/counts.ts";
import type { Problem } from "../src/errors.ts";
import { Log } from "../src/log.ts";
import type { Message } from "../src/message.ts";
import { formatPosition, type Position } from "../src/position.ts";
import { buses } from "./buses.ts";
import { randomNumbers } from "./support/random.ts";
import { waitFor, whileNothingHappens } from "./support/wait.ts";

const limits = { publishQueue: 10_000, publishQueueBytes: 1 << 26, publishTimeoutMs: 5000 };

interface Opened {
  readonly bus: Bus;
  readonly delivered: [channel: string, message: Message][];
  readonly read: [channel: string, entries: Entries][];
}

/** What to read: the newest ones. */
const page = (limit: number, bytes = 1e9): ReadFrom => ({ limit, bytes, keepsAlive: true });

const idOf = (position: Position | null): string | null => (position === null ? null : formatPosition(position.epoch, position.offset));

/** A sender that remembers what it was told. */
function sender(): Sender & { told: (string | null | Problem)[] } {
  const told: (string | null | Problem)[] = [];
  return { told, broken: false, confirmed: (position) => told.push(idOf(position)), refused: (problem) => told.push(problem) };
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
      for (const channel of ["a", "b"]) await bus.subscribe(channel);
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

    describe("with history", () => {
      const retention = { size: 5, ttlMs: 60_000 };
      let channels = 0;

      /** An opened bus that is subscribed to a channel of its own. */
      async function openLog(): Promise<Opened & { history: History; channel: string }> {
        const opening = await open();
        const channel = `log-${(channels += 1)}`;
        await opening.bus.subscribe(channel);
        if (opening.bus.history === undefined) throw new Error("no history");
        return { ...opening, history: opening.bus.history, channel };
      }

      /** Appends one after the other and returns the ids. */
      function append(history: History, channel: string, messages: readonly Message[], kept = retention, key?: string): Promise<string[]> {
        return Promise.all(
          messages.map(
            (message) =>
              new Promise<string>((confirmed, refused) => {
                history.append(
                  channel,
                  message,
                  kept,
                  { broken: false, refused, confirmed: (position) => confirmed(idOf(position) ?? "") },
                  key,
                );
              }),
          ),
        );
      }

      test("gives each message the next position, tells it to the sender and delivers it", async () => {
        const { history, channel, read } = await openLog();
        const messages = ["a", "", "测试", Buffer.from([0xff, 1, 0])];
        const ids = await append(history, channel, messages);
        const { epoch, head } = await history.read(channel, retention, page(1));
        expect(ids).toEqual([1, 2, 3, 4].map((offset) => `${epoch}-${offset}`));
        expect(head).toBe(4);
        await waitFor("all of them", () => read.flatMap(([, entries]) => entries.messages).length === 4);
        expect(read.flatMap(([, entries]) => entries.messages)).toEqual(messages);
        expect(read.flatMap(([, { epoch: own, first, messages: some }]) => some.map((_, at) => `${own}-${first + at}`))).toEqual(ids);
      });

      test("keeps the order of a burst of thousands in one turn", async () => {
        const { history, channel, read } = await openLog();
        const texts = Array.from({ length: 3000 }, (_, index) => String(index));
        const ids = await append(history, channel, texts);
        expect(ids.map((id) => Number(id.split("-")[1]))).toEqual(texts.map((_, index) => index + 1));
        await waitFor("all of them", () => read.at(-1)?.[1].messages.at(-1) === "2999");
        expect(read.flatMap(([, entries]) => entries.messages)).toEqual(texts);
      });

      test("reads the newest, what follows a position, and never more than is kept", async () => {
        const { history, channel } = await openLog();
        await append(history, channel, ["1", "2", "3", "4", "5", "6", "7", "8"]);
        const { epoch } = await history.read(channel, retention, page(1));
        const since = (offset: number, limit = 9, own = epoch): Promise<Page> =>
          history.read(channel, retention, { ...page(limit), since: { epoch: own, offset } });
        const shape = ({ resumed, start: from, messages, head }: Page): unknown => [resumed, from, messages.join(""), head];
        expect(shape(await history.read(channel, retention, page(3)))).toEqual([null, 5, "678", 8]);
        expect(shape(await history.read(channel, retention, page(9)))).toEqual([null, 3, "45678", 8]);
        expect(shape(await since(8))).toEqual([true, 8, "", 8]);
        expect(shape(await since(6))).toEqual([true, 6, "78", 8]);
        expect(shape(await since(3, 2))).toEqual([true, 3, "45", 8]);
        expect(shape(await since(2))).toEqual([false, 3, "45678", 8]);
        expect(shape(await since(9))).toEqual([false, 3, "45678", 8]);
        expect(shape(await since(7, 9, "another"))).toEqual([false, 3, "45678", 8]);
        // What is kept is what the reader's kind keeps.
        const fewer = await history.read(channel, { ...retention, size: 2 }, page(9));
        expect(shape(fewer)).toEqual([null, 6, "78", 8]);
      });

      test("ends a page after so many bytes, but not without a message", async () => {
        const { history, channel } = await openLog();
        await append(history, channel, ["一".repeat(34), "2".repeat(100), "3".repeat(100)]);
        const first = await history.read(channel, retention, page(9, 150));
        expect([first.start, first.messages.length, first.head]).toEqual([0, 2, 3]);
        const { epoch } = first;
        const rest = await history.read(channel, retention, { ...page(9, 1), since: { epoch, offset: 2 } });
        expect([rest.resumed, rest.start, rest.messages.length]).toEqual([true, 2, 1]);
        const next = await history.read(channel, retention, { ...page(9, 1), since: { epoch, offset: 1 } });
        expect([next.resumed, next.start, next.messages.length]).toEqual([true, 1, 1]);
      });

      test("gives every page as if messages had come one by one, whatever bursts they came in", async () => {
        const { history, channel } = await openLog();
        const random = randomNumbers();
        const kept = { size: 40, ttlMs: 60_000 };
        const texts: string[] = [];
        for (let burst = 0; burst < 12; burst += 1) {
          const some = Array.from(
            { length: 1 + random(random(3) === 0 ? 60 : 6) },
            (_, index) => `${texts.length + index}${"x".repeat(random(30))}`,
          );
          texts.push(...some);
          await append(history, channel, some, kept);
          const { epoch, head } = await history.read(channel, kept, page(1));
          expect(head).toBe(texts.length);
          const oldest = Math.max(0, head - kept.size);
          for (let from = 0; from <= head; from += 1) {
            const limit = 1 + random(50);
            const bytes = 1 + random(1000);
            const got = await history.read(channel, kept, { ...page(limit, bytes), since: { epoch, offset: from } });
            const after = Math.max(from, oldest);
            // A page ends with the message that reaches its bytes.
            let left = bytes;
            const wanted = texts.slice(after, after + limit).filter((text) => {
              const fits = left > 0;
              left -= text.length;
              return fits;
            });
            expect([from, limit, bytes, got.resumed, got.start, got.messages]).toEqual([from, limit, bytes, from >= oldest, after, wanted]);
            const newest = await history.read(channel, kept, page(limit));
            expect(newest.messages).toEqual(texts.slice(Math.max(oldest, head - limit)));
          }
        }
      });

      test("forgets messages after their time, counted from the last one, but not the position", async () => {
        const { history, channel } = await openLog();
        const short = { size: 5, ttlMs: 300 };
        await append(history, channel, ["1", "2"], short);
        const before = await history.read(channel, short, page(9));
        await waitFor("them to go", async () => (await history.read(channel, short, page(9))).messages.length === 0);
        const empty = await history.read(channel, short, page(9));
        const { epoch } = empty;
        expect([epoch, empty.head, empty.start]).toEqual([before.epoch, 2, 2]);
        expect((await history.read(channel, short, { ...page(9), since: { epoch, offset: 2 } })).resumed).toBe(true);
        expect((await history.read(channel, short, { ...page(9), since: { epoch, offset: 1 } })).resumed).toBe(false);
        expect(await append(history, channel, ["3"], short)).toEqual([`${epoch}-3`]);
      });

      test("publishes under an idempotency key once, and answers with the first id", async () => {
        const { history, channel, read } = await openLog();
        const ids = await append(history, channel, ["first", "second", "third"], retention, "key {1} 键");
        expect(new Set(ids).size).toBe(1);
        const [other] = await append(history, channel, ["other"], retention, "key 2");
        expect(other).toBe(ids[0]?.replace(/1$/, "2"));
        await waitFor("the other", () => read.at(-1)?.[1].messages.at(-1) === "other");
        expect(read.flatMap(([, entries]) => entries.messages)).toEqual(["first", "other"]);
      });

      test("takes names literally, braces and all", async () => {
        const { history, bus } = await openLog();
        const names = ["__proto__", "*", "{tag}", "}{", "{}", "%7B", "房间", "a:b", "constructor"];
        for (const one of names) {
          await bus.subscribe(one);
          await append(history, one, [one]);
        }
        for (const one of names) expect((await history.read(one, retention, page(9))).messages).toEqual([one]);
      });

      test("appends a tick", async () => {
        const { bus, history, channel, read } = await openLog();
        await bus.publishTick({ schedule: channel, dueMs: Date.now(), periodMs: 1000, channel, retention, text: "tick" });
        await waitFor("the tick", () => read.length === 1);
        expect((await history.read(channel, retention, page(9))).messages).toEqual(["tick"]);
      });
    });

    test("knows who is present, of members and others", async () => {
      const { bus } = await open();
      const other = await open();
      const { presence } = bus;
      if (presence === undefined) throw new Error("no presence");
      const second = running.url === "" ? presence : (other.bus.presence ?? presence);
      for (const member of ["alice", "alice", "bob", null, "__proto__"]) presence.enter("p {1}", member);
      second.enter("p {1}", "alice");
      second.enter("p {1}", null);
      const shape = async (): Promise<unknown> => {
        const { count, members } = await presence.present("p {1}");
        return [count, [...members].toSorted(([a], [b]) => (a < b ? -1 : 1))];
      };
      const all = [
        7,
        [
          ["__proto__", 1],
          ["alice", 3],
          ["bob", 1],
        ],
      ];
      await waitFor("all of them", async () => JSON.stringify(await shape()) === JSON.stringify(all));
      presence.leave("p {1}", "bob");
      presence.leave("p {1}", "alice");
      expect(await shape()).toEqual([
        5,
        [
          ["__proto__", 1],
          ["alice", 2],
        ],
      ]);
      for (const member of ["alice", null, "__proto__"]) presence.leave("p {1}", member);
      second.leave("p {1}", "alice");
      second.leave("p {1}", null);
      await waitFor("nobody", async () => JSON.stringify(await shape()) === "[0,[]]");
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
