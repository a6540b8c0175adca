import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import type { Bus, OpenBus } from "../../src/bus/bus.ts";
import type { Sender } from "../../src/bus/publisher.ts";
import type { Entries, History, Page, ReadFrom } from "../../src/bus/history.ts";
import type { Presence, PresenceChange } from "../../src/bus/presence.ts";
import { Counts } from "../../src/counts.ts";
import type { Problem } from "../../src/errors.ts";
import { Log } from "../../src/log.ts";
import type { Message } from "../../src/message.ts";
import { formatPosition, type Position } from "../../src/position.ts";
import { topologies } from "./buses.ts";
import { randomNumbers } from "../support/random.ts";
import { waitFor, whileNothingHappens } from "../support/wait.ts";

const limits = { publishQueue: 10_000, publishQueueBytes: 1 << 26, publishTimeoutMs: 5000 };

interface Opened {
  readonly bus: Bus;
  readonly delivered: [channel: string, message: Message][];
  readonly read: [channel: string, entries: Entries][];
  /** Reports of who came and went. */
  readonly changes: [channel: string, change: PresenceChange][];
}

/** What to read: the newest ones. */
const page = (limit: number, bytes = 1e9): ReadFrom => ({ limit, bytes, keepsAlive: true });

const idOf = (position: Position | null): string | null => (position === null ? null : formatPosition(position.epoch, position.offset));

/** A sender that remembers what it was told. */
function sender(): Sender & { told: (string | null | Problem)[] } {
  const told: (string | null | Problem)[] = [];
  return { told, broken: false, confirmed: (position) => told.push(idOf(position)), refused: (problem) => told.push(problem) };
}

for (const { name, start } of topologies) {
  describe(`the ${name} bus`, () => {
    let running: { open: OpenBus; stop(): Promise<void> };
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
      const changes: [string, PresenceChange][] = [];
      const listener = {
        deliver: (channel: string, message: Message) => delivered.push([channel, message]),
        deliverEntries: (channel: string, entries: Entries) => read.push([channel, entries]),
        deliverPresence: (channel: string, change: PresenceChange) => changes.push([channel, change]),
        lost: () => 0,
        restored: () => 0,
      };
      const log = new Log("error", "json", () => 0);
      const bus = await running.open({ url: "", prefix, limits, counts: new Counts(), log }, listener);
      opened.push(bus);
      return { bus, delivered, read, changes };
    }

    test("is ready when it has opened", async () => {
      expect((await open()).bus.ready()).toBe(true);
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
      const numbers = (channel?: string): number[] =>
        delivered.filter(([on]) => channel === undefined || on === channel).map(([, message]) => Number(message));
      expect(numbers("a")).toEqual(Array.from({ length: 2500 }, (_, index) => 2 * index));
      expect(numbers("b")).toEqual(Array.from({ length: 2500 }, (_, index) => 2 * index + 1));
      // Two shards have no order among each other.
      if (name !== "two-shard redis") expect(numbers()).toEqual(Array.from({ length: 5000 }, (_, index) => index));
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
      expect(new Set(delivered.map(([channel, message]) => JSON.stringify([channel, message])))).toEqual(
        new Set(names.map((channel) => JSON.stringify([channel, channel]))),
      );
      expect(delivered.length).toBe(names.length);
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
        await bus.ticks?.claim({ schedule: channel, dueMs: Date.now(), periodMs: 1000, channel, retention, text: "tick" });
        await waitFor("the tick", () => read.length === 1);
        expect((await history.read(channel, retention, page(9))).messages).toEqual(["tick"]);
      });
    });

    describe("with presence", () => {
      let channels = 0;

      /** Two instances, which are one where instances share nothing, on a channel of their own. */
      async function openTwo() {
        const channel = `p {1} ${(channels += 1)}`;
        const one = await open();
        const two = name === "memory" ? one : await open();
        for (const { bus } of [one, two]) await bus.subscribe(channel);
        const of = ({ bus: { presence } }: Opened): Presence => {
          if (presence === undefined) throw new Error("no presence");
          return presence;
        };
        return { channel, one, two, presence: of(one), other: of(two) };
      }

      async function shape(presence: Presence, channel: string): Promise<unknown> {
        const { count, members } = await presence.members(channel);
        return [count, [...members].toSorted(([a], [b]) => (a < b ? -1 : 1))];
      }

      /** The reports, in short. */
      const reports = ({ changes }: Opened): string[] =>
        changes.map(([, { change, member }]) => `${change} ${member.id}${member.data === undefined ? "" : ` ${member.data}`}`);

      test("knows who is there, members and others, with their data", async () => {
        const { channel, presence, other } = await openTwo();
        for (const id of ["alice", "alice", "bob", null, "__proto__"]) presence.join(channel, id === null ? null : { id }, false);
        other.join(channel, { id: "alice", data: '{"name": "A\u0000 测\\n"}' }, false);
        other.join(channel, null, false);
        const alice = { connections: 3, data: '{"name": "A\u0000 测\\n"}' };
        const all = [
          7,
          [
            ["__proto__", { connections: 1 }],
            ["alice", alice],
            ["bob", { connections: 1 }],
          ],
        ];
        await waitFor("all of them", async () => JSON.stringify(await shape(presence, channel)) === JSON.stringify(all));
        presence.leave(channel, { id: "bob" }, false);
        presence.leave(channel, { id: "alice" }, false);
        expect(await shape(presence, channel)).toEqual([
          5,
          [
            ["__proto__", { connections: 1 }],
            ["alice", { ...alice, connections: 2 }],
          ],
        ]);
        for (const id of ["alice", null, "__proto__"]) presence.leave(channel, id === null ? null : { id }, false);
        other.leave(channel, { id: "alice" }, false);
        other.leave(channel, null, false);
        await waitFor("nobody", async () => JSON.stringify(await shape(presence, channel)) === "[0,[]]");
      });

      test("reports the first connection of a member in the cluster and the end of the last one, and nobody in particular never", async () => {
        const { channel, one, two, presence, other } = await openTwo();
        const alice = { id: "alice", data: '{"测": 1}' };
        presence.join(channel, alice, true);
        presence.join(channel, null, true);
        await waitFor("the join", () => one.changes.length === 1 && two.changes.length === 1);
        presence.join(channel, alice, true);
        other.join(channel, alice, true);
        other.join(channel, { id: "bob" }, true);
        await waitFor("another join", () => one.changes.length === 2);
        presence.leave(channel, alice, true);
        presence.leave(channel, alice, true);
        presence.leave(channel, null, true);
        await settle(channel, one, two);
        other.leave(channel, alice, true);
        await waitFor("the leave", () => one.changes.length === 3);
        other.leave(channel, { id: "bob" }, true);
        const all = ['join alice {"测": 1}', "join bob", 'leave alice {"测": 1}', "leave bob"];
        await waitFor("all of them", () => [one, two].every(({ changes }) => changes.length === all.length));
        for (const instance of [one, two]) expect(reports(instance)).toEqual(all);
        expect(one.changes.every(([on]) => on === channel)).toBe(true);
      });

      test("reports nothing when a member comes back elsewhere before it has left", async () => {
        const { channel, one, two, presence, other } = await openTwo();
        presence.join(channel, { id: "alice" }, true);
        await waitFor("the join", () => two.changes.length === 1);
        for (let round = 0; round < 5; round += 1) {
          const [to, from] = round % 2 === 0 ? [other, presence] : [presence, other];
          to.join(channel, { id: "alice" }, true);
          // The instances have no order among each other.
          await settle(channel, one, two);
          from.leave(channel, { id: "alice" }, true);
        }
        await settle(channel, one, two);
        expect(reports(one)).toEqual(["join alice"]);
      });

      test("reports nothing where nobody asked for it, though others are told of", async () => {
        const { channel, one, two, presence, other } = await openTwo();
        presence.join(channel, { id: "quiet" }, false);
        other.join(channel, { id: "quiet" }, true);
        await waitFor("the join", () => one.changes.length === 1);
        presence.leave(channel, { id: "quiet" }, false);
        other.leave(channel, { id: "quiet" }, true);
        await waitFor("the leave", () => two.changes.length === 2);
        expect(reports(one)).toEqual(["join quiet", "leave quiet"]);
      });

      test("keeps the order of joins, messages and leaves of one instance", async () => {
        const { channel, bus, presence, order } = await ordered();
        const expected: string[] = [];
        for (let round = 0; round < 20; round += 1) {
          presence.join(channel, { id: `m${round}` }, true);
          bus.publish(channel, `hello ${round}`, sender());
          await new Promise(setImmediate);
          presence.leave(channel, { id: `m${round}` }, true);
          await new Promise(setImmediate);
          expected.push(`join m${round}`, `hello ${round}`, `leave m${round}`);
        }
        await waitFor("all of it", () => order.length === expected.length);
        expect(order).toEqual(expected);
      });

      /** Waits until everything that was said of the channel has arrived everywhere. */
      async function settle(channel: string, ...instances: Opened[]): Promise<void> {
        for (const { bus } of instances) await bus.presence?.members(channel);
        for (const { bus } of instances) await bus.settled();
      }

      async function ordered() {
        const { channel, one, presence } = await openTwo();
        const order: string[] = [];
        const { bus, delivered, changes } = one;
        delivered.push = (...items) => order.push(...items.map(([, message]) => String(message)));
        changes.push = (...items) => order.push(...items.map(([, { change, member }]) => `${change} ${member.id}`));
        return { channel, bus, presence, order };
      }
    });

    test("publishes a tick, and delivers it as text", async () => {
      const { bus, delivered } = await open();
      await bus.subscribe("a");
      expect(
        await bus.ticks?.claim({
          schedule: "s1",
          dueMs: Date.now(),
          periodMs: 1000,
          channel: "a",
          retention: undefined,
          text: "tick 测试",
        }),
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
      expect(bus.ready()).toBe(false);
    });
  });
}
