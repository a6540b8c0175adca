import { afterAll, afterEach, beforeAll, describe, expect, setSystemTime, test } from "bun:test";
import { connect, createServer, type Server, type Socket } from "node:net";
import type { Redis } from "ioredis";
import type { Bus, BusListener } from "../../src/bus/bus.ts";
import type { Sender } from "../../src/bus/publisher.ts";
import type { Checkpoint, Entries, History, Page } from "../../src/bus/history.ts";
import { openBus } from "../../src/bus/open.ts";
import { OutboxTotal } from "../../src/bus/outbox-bounds.ts";
import { Outbox } from "../../src/bus/outbox.ts";
import { AppendRoute, readAppended } from "../../src/bus/redis/append-call.ts";
import { toCheckpoint } from "../../src/bus/redis/frame.ts";
import { ChannelKeys } from "../../src/bus/redis/keys.ts";
import { Counts } from "../../src/counts.ts";
import { Problem } from "../../src/errors.ts";
import { Log } from "../../src/log.ts";
import type { Message } from "../../src/message.ts";
import { Proxy } from "../support/proxy.ts";
import { freePort, RedisServer } from "../support/redis.ts";
import { waitFor } from "../support/wait.ts";

const retention = { size: 1000, ttlMs: 60_000 };
const limits = { publishQueue: 10_000, publishQueueBytes: 1 << 26, publishTimeoutMs: 5000 };

/** What Redis sees of the logs that a bus writes, and what becomes of writes whose answers are lost. */
describe("appending in Redis", () => {
  let redis: RedisServer;
  let admin: Redis;
  const opened: Bus[] = [];
  const proxies: Proxy[] = [];

  beforeAll(async () => {
    redis = await RedisServer.start();
    admin = redis.client();
  });
  afterEach(async () => {
    // With a clock that stands, nothing that waits would ever give up.
    setSystemTime();
    for (const bus of opened.splice(0)) bus.close();
    for (const proxy of proxies.splice(0)) proxy.stop();
    await admin.flushall();
  });
  afterAll(() => redis.stop());

  interface Opened {
    readonly history: History;
    readonly bus: Bus;
    /** What was delivered. */
    readonly entries: [channel: string, entries: Entries][];
    /** What was logged. */
    readonly lines: string[];
  }

  async function open(url = redis.url): Promise<Opened> {
    const entries: [string, Entries][] = [];
    const lines: string[] = [];
    const listener: BusListener = {
      deliver: () => undefined,
      deliverEntries: (channel, some) => entries.push([channel, some]),
      deliverPresence: () => undefined,
      lost: () => undefined,
      restored: () => undefined,
    };
    const log = new Log("error", "json", (line) => lines.push(line));
    const bus = await openBus({ url, prefix: "", limits, counts: new Counts(), log }, listener);
    opened.push(bus);
    if (bus.history === undefined) throw new Error("no history");
    return { history: bus.history, entries, bus, lines };
  }

  /** Resolves to the offset, or to the name of the fault. */
  function append(history: History, channel: string, message: Message, kept = retention, key?: string): Promise<number | string> {
    return new Promise((resolve) => {
      const sender: Sender = {
        broken: false,
        confirmed: (position) => resolve(position?.offset ?? -1),
        refused: (problem: Problem) => resolve(problem.fault),
      };
      history.append(channel, message, kept, sender, key);
    });
  }

  function all(history: History, channel: string): Promise<Page> {
    return history.read(channel, retention, { limit: 1000, bytes: 1e9, keepsAlive: false });
  }

  /** How often Redis has run a command since `config resetstat`. */
  async function calls(command: string): Promise<number> {
    return Number(new RegExp(`cmdstat_${command}:calls=(\\d+)`).exec(await admin.info("commandstats"))?.[1] ?? 0);
  }

  test("takes one call for a turn's messages on many channels, and one more for each 256", async () => {
    const { history } = await open();
    await append(history, "warm", "x");
    await admin.config("RESETSTAT");
    await Promise.all(Array.from({ length: 256 }, (_, index) => append(history, `channel-${index}`, "x")));
    expect(await calls("evalsha")).toBe(1);
    await Promise.all(Array.from({ length: 600 }, (_, index) => append(history, `channel-${index}`, "x")));
    expect(await calls("evalsha")).toBe(4);
  });

  test("takes no more than 256 KiB in a call, whatever channels they are for", async () => {
    const { history } = await open();
    await append(history, "warm", "x");
    await admin.config("RESETSTAT");
    await Promise.all(["a", "b", "c"].map((channel) => append(history, channel, "y".repeat(150 * 1024))));
    expect(await calls("evalsha")).toBe(3);
  });

  test("renews times to live also where the clock was set back", async () => {
    const { history } = await open();
    const hourAgo = new Date(Date.now() - 3_600_000);
    for (const text of ["x", "y"]) await append(history, "a", text);
    await admin.persist("lockstep:{a}:log");
    setSystemTime(hourAgo);
    expect(await append(history, "a", "z")).toBe(3);
    setSystemTime();
    expect(await admin.pttl("lockstep:{a}:log")).toBeGreaterThan(0);
    expect((await all(history, "a")).messages).toEqual(["x", "y", "z"]);
  });

  test("gives a log that has gone alone a time to live when it comes again", async () => {
    const { history } = await open();
    for (const text of ["1", "2"]) await append(history, "a", text);
    await admin.del("lockstep:{a}:log");
    expect(await append(history, "a", "3")).toBe(3);
    expect(await admin.pttl("lockstep:{a}:log")).toBeGreaterThan(0);
    expect((await all(history, "a")).messages).toEqual(["3"]);
  });

  test("leaves no key in Redis without a time to live, however a log began", async () => {
    const { history, bus } = await open();
    const tick = { schedule: "s", periodMs: 1000, retention, text: "tick" };
    for (const channel of ["ticked", "appended"]) expect(await bus.ticks?.claim({ ...tick, dueMs: Date.now(), channel })).toBe(true);
    await all(history, "read");
    // In one call.
    const once = ["keyed", "and this"].map((channel) => append(history, channel, "x", retention, "key"));
    expect(await Promise.all([...once, append(history, "plain", "x")])).toEqual([1, 1, 1]);
    for (const text of ["x", "y"]) await append(history, "appended", text);
    const keys = await admin.keys("*");
    expect(keys.length).toBe(2 * 3 + 1 + 2 * 3 + 2);
    for (const key of keys) expect({ key, lives: (await admin.pttl(key)) > 50_000 }).toEqual({ key, lives: true });
    expect(await admin.pttl("lockstep:{ticked}:log")).toBeGreaterThan(60_000);
    for (const channel of ["keyed", "and this"]) expect(await admin.pttl(`lockstep:{${channel}}:once:key`)).toBeLessThanOrEqual(60_000);
  });

  test("tells apart what instances write at the same time", async () => {
    setSystemTime(new Date());
    const checkpoints: unknown[] = [];
    for (const channel of ["a", "b", "c", "d"]) {
      await append((await open()).history, channel, "x");
      checkpoints.push(await admin.hget(`lockstep:{${channel}}:head`, "check"));
    }
    setSystemTime();
    expect(new Set(checkpoints).size).toBeGreaterThan(1);
  });

  test("looks at a log before the first message of an instance alone, and where another one was there before", async () => {
    const [one, other] = [(await open()).history, (await open()).history];
    expect(await append(one, "a", "1")).toBe(1);
    await admin.config("RESETSTAT");
    for (const text of ["2", "3"]) await append(one, "a", text);
    expect([await calls("hmget"), await calls("pexpire")]).toEqual([0, 0]);
    for (const text of ["4", "5"]) await append(other, "a", text);
    expect(await calls("hmget")).toBe(1);
    expect(await Promise.all(["6", "7"].map((text) => append(one, "a", text)))).toEqual([6, 7]);
    expect(await calls("hmget")).toBe(2);
    expect((await all(other, "a")).messages).toEqual(["1", "2", "3", "4", "5", "6", "7"]);
  });

  test("goes on without a look after what it heard of another instance", async () => {
    const [{ history, bus, entries }, other] = [await open(), (await open()).history];
    await bus.subscribe("a");
    expect(await Promise.all(["1", "2"].map((text) => append(other, "a", text)))).toEqual([1, 2]);
    await waitFor("both", () => entries.length === 1);
    await admin.config("RESETSTAT");
    expect(await append(history, "a", "3")).toBe(3);
    expect(await calls("hmget")).toBe(0);
  });

  test("begins anew where a log has gone that it was about to go on with, and leaves nothing of the old one behind", async () => {
    const { history } = await open();
    for (const text of ["1", "2"]) await append(history, "a", text);
    const before = (await all(history, "a")).epoch;
    await admin.flushall();
    expect(await append(history, "a", "3")).toBe(1);
    const { epoch, messages } = await all(history, "a");
    expect(epoch).not.toBe(before);
    expect(messages).toEqual(["3"]);
    expect(await admin.hkeys("lockstep:{a}:head")).not.toContain(before);
    for (const key of ["head", "log"]) expect(await admin.pttl(`lockstep:{a}:${key}`)).toBeGreaterThan(0);
  });

  /** What takes a log back to what it is now. */
  async function keep(channel: string): Promise<() => Promise<unknown>> {
    const keys = ["head", "log"].map((key) => `lockstep:{${channel}}:${key}`);
    const kept = await Promise.all(keys.map((key) => admin.dumpBuffer(key)));
    return () => Promise.all(keys.map((key, index) => admin.restore(key, 60_000, kept[index] ?? "", "REPLACE")));
  }

  test("begins anew where a log has gone that had no message yet when it was read", async () => {
    const { history } = await open();
    const before = (await all(history, "a")).epoch;
    await admin.flushall();
    for (const text of ["1", "2"]) expect(await append(history, "a", text)).toBe(Number(text));
    const { epoch, messages } = await all((await open()).history, "a");
    expect([messages, epoch === before]).toEqual([["1", "2"], false]);
  });

  test("begins anew where a log has lost messages that it was about to go on with, and leaves nothing of the old one behind", async () => {
    const { history } = await open();
    await append(history, "a", "1");
    const before = (await all(history, "a")).epoch;
    const forget = await keep("a");
    for (const text of ["2", "3"]) await append(history, "a", text);
    await forget();
    expect(await append(history, "a", "4")).toBe(1);
    expect(await append(history, "a", "5")).toBe(2);
    const { epoch, head, messages } = await all(history, "a");
    expect(epoch).not.toBe(before);
    expect([head, messages]).toEqual([2, ["4", "5"]]);
    expect(await admin.hkeys("lockstep:{a}:head")).not.toContain(before);
  });

  test("begins anew where a tick, or a read, finds a log that has lost messages", async () => {
    const { history, bus } = await open();
    const tick = { schedule: "s", periodMs: 1000, retention, text: "tick", channel: "a" };
    for (const publishes of [true, false]) {
      await append(history, "a", "1");
      const before = (await all(history, "a")).epoch;
      const forget = await keep("a");
      for (const text of ["2", "3"]) await append(history, "a", text);
      await forget();
      if (publishes) expect(await bus.ticks?.claim({ ...tick, dueMs: Date.now() })).toBe(true);
      const { epoch, start, messages } = await all(history, "a");
      expect([start, messages]).toEqual([0, publishes ? ["tick"] : []]);
      const [newest] = await admin.xrevrange("lockstep:{a}:log", "+", "-");
      const { check, ...head } = await admin.hgetall("lockstep:{a}:head");
      expect([head["epoch"], before in head]).toEqual([epoch, false]);
      expect(`${head[epoch]}-${check}`).toBe(newest?.[0] ?? "0-0");
    }
  });

  test.each([
    ["stands where", []],
    ["came after", ["more"]],
    // More than is read at a time.
    ["came, and many others after it, after", Array.from({ length: 40 }, (_, index) => `more ${index}`)],
  ])(
    "begins anew, with it, where another message %s what was seen before Redis was lost, however much else is in doubt",
    async (_, more) => {
      const [{ history, bus }, other] = [await open(), (await open()).history];
      // Then its subscriber is spared below.
      await bus.subscribe("y");
      // More than is asked for at once.
      await Promise.all(Array.from({ length: 300 }, (_item, index) => append(history, `channel-${index}`, "x")));
      expect(await append(history, "z", "1")).toBe(1);
      const before = (await all(history, "z")).epoch;
      const forget = await keep("z");
      expect(await append(history, "z", "lost")).toBe(2);
      await forget();
      // A millisecond has a thousand checkpoints, and Redis is never back as soon as that.
      await Bun.sleep(2);
      // What comes in one turn is one batch.
      await Promise.all(["new", ...more.slice(0, 2)].map((text) => append(other, "z", text)));
      for (const text of more.slice(2)) await append(other, "z", text);
      await admin.call("CLIENT", "KILL", "TYPE", "normal");
      const messages = ["new", ...more, "anew"];
      expect(await append(history, "z", "anew")).toBe(messages.length);
      const page = await all(history, "z");
      expect([page.messages, page.start, page.epoch === before]).toEqual([messages, 0, false]);
      expect(await append(other, "z", "on")).toBe(messages.length + 1);
      expect((await all(other, "z")).messages).toEqual([...messages, "on"]);
      expect(await admin.pttl("lockstep:{z}:log")).toBeGreaterThan(0);
    },
  );

  test("begins anew with what came after, by a read too: in its batches, with its time to live and its checkpoint", async () => {
    const [{ history, bus }, other] = [await open(), (await open()).history];
    expect(await append(history, "a", "1")).toBe(1);
    const before = (await all(history, "a")).epoch;
    const forget = await keep("a");
    expect(await append(history, "a", "lost")).toBe(2);
    await forget();
    // A millisecond has a thousand checkpoints, and Redis is never back as soon as that.
    await Bun.sleep(2);
    await Promise.all(["new", "more", "and more"].map((text) => append(other, "a", text)));
    await append(other, "a", "most");
    const check = await admin.hget("lockstep:{a}:head", "check");
    await lose(bus);
    const { epoch, start, messages } = await all(history, "a");
    expect([epoch === before, start, messages]).toEqual([false, 0, ["new", "more", "and more", "most"]]);
    expect(await admin.pttl("lockstep:{a}:log")).toBeGreaterThan(0);
    const [newest] = await admin.xrevrange("lockstep:{a}:log", "+", "-", "COUNT", 1);
    expect([newest?.[0], await admin.hget("lockstep:{a}:head", "check")]).toEqual([`4-${check}`, check]);
    const page = { since: { epoch, offset: 1 }, limit: 9, bytes: 1e9, keepsAlive: false };
    expect(await history.read("a", retention, page)).toMatchObject({ resumed: true, start: 1, messages: messages.slice(1) });
  });

  test("does not take for whole what begins just after a message that others may have replaced", async () => {
    // Less than what is read below, as by another configuration.
    const written = { size: 3, ttlMs: 60_000 };
    const kept = { size: 4, ttlMs: 60_000 };
    // A node of a stream each, so that the log is cut to the message.
    const long = "x".repeat(5000);
    const [{ history }, other] = [await open(), (await open()).history];
    for (const text of ["1", "2"]) await append(history, "a", text + long, written);
    const forget = await keep("a");
    await append(history, "a", `lost${long}`, written);
    const { epoch, checkpoint } = await history.read("a", kept, { limit: 1, bytes: 1e9, keepsAlive: false });
    await forget();
    for (const text of ["3", "4", "5", "6", "7"]) await append(other, "a", text + long, written);
    const page = { since: { epoch, offset: 3 }, limit: 9, bytes: 1e9, keepsAlive: false };
    expect(await other.read("a", kept, { ...page, ...known(checkpoint) })).toMatchObject({ epoch, resumed: false, start: 3 });
    // Nobody can tell of a client's position.
    expect(await other.read("a", kept, page)).toMatchObject({ epoch, resumed: true, start: 3 });
    await append(other, "b", "1", kept);
    const first = await all(other, "b");
    const resumes = (offset: number, at: Checkpoint): Promise<Page> =>
      other.read("b", kept, { ...page, since: { epoch: first.epoch, offset }, checkpoint: at });
    expect(await resumes(0, toCheckpoint(0))).toMatchObject({ resumed: true, start: 0 });
    expect(await resumes(1, known(first.checkpoint).checkpoint)).toMatchObject({ resumed: true, start: 1 });
    // Its time is over, which its head outlives.
    await admin.del("lockstep:{b}:log");
    expect(await resumes(1, known(first.checkpoint).checkpoint)).toMatchObject({ resumed: true, start: 1 });
  });

  test.each([
    [2, "short"],
    [3, "short"],
    [4, "short"],
    [2, "long"],
    [3, "long"],
    [4, "long"],
  ])("gives all that was missed where that is no more than is kept: %d of 3 messages that are %s", async (count, length) => {
    const kept = { size: 3, ttlMs: 60_000 };
    const { history } = await open();
    // Long ones are a node of a stream each, so that the log is cut to the message.
    const rest = length === "long" ? "x".repeat(5000) : "";
    for (const text of ["1", "2"]) await append(history, "a", text + rest, kept);
    const { epoch, checkpoint } = await history.read("a", kept, { limit: 1, bytes: 1e9, keepsAlive: false });
    const missed = ["3", "4", "5", "6"].slice(0, count).map((text) => text + rest);
    for (const text of missed.slice(0, -1)) await append(history, "a", text, kept);
    // Of an instance that has seen nothing, which looks at the log.
    await append((await open()).history, "a", missed.at(-1) ?? "", kept);
    const page = { since: { epoch, offset: 2 }, ...known(checkpoint), limit: 9, bytes: 1e9, keepsAlive: false };
    const { resumed, messages } = await history.read("a", kept, page);
    expect([resumed, messages]).toEqual([count <= 3, missed.slice(-3)]);
  });

  test("goes on where there is something else than a log while it is in doubt", async () => {
    const [{ history, bus }, other] = [await open(), (await open()).history];
    for (const text of ["1", "2"]) await append(history, "a", text);
    await append(other, "a", "3");
    await admin.set("lockstep:{a}:log", "no stream");
    await lose(bus);
    expect(await append(history, "a", "4")).toBe(4);
    expect((await all(history, "a")).messages).toEqual(["4"]);
  });

  /** Loses Redis, and has it again. */
  async function lose(bus: Bus): Promise<void> {
    await admin.call("CLIENT", "KILL", "TYPE", "normal");
    await waitFor("the loss to be noticed", () => !bus.ready());
    await waitFor("Redis to be back", () => bus.ready());
  }

  test("goes on after a loss of Redis in which nothing was lost", async () => {
    const { history, bus } = await open();
    for (const text of ["1", "2"]) await append(history, "a", text);
    const { epoch } = await all(history, "a");
    await admin.call("CLIENT", "KILL", "TYPE", "normal");
    await waitFor("the loss to be noticed", () => !bus.ready());
    expect(await append(history, "a", "3")).toBe(3);
    expect((await all(history, "a")).epoch).toBe(epoch);
    await admin.config("RESETSTAT");
    expect(await append(history, "a", "4")).toBe(4);
    expect(await calls("hmget")).toBe(0);
  });

  test("goes on without a look where a read has shown that nothing was lost", async () => {
    const { history, bus } = await open();
    for (const text of ["1", "2"]) await append(history, "a", text);
    await lose(bus);
    const { epoch } = await all(history, "a");
    await admin.config("RESETSTAT");
    expect(await append(history, "a", "3")).toBe(3);
    expect(await calls("hmget")).toBe(0);
    expect((await all(history, "a")).epoch).toBe(epoch);
  });

  test("does not take the end of a page for the end of the log", async () => {
    const [{ history, bus }, other] = [await open(), (await open()).history];
    for (const text of ["1", "2", "3"]) await append(other, "a", text);
    const { epoch } = await all(other, "a");
    const page = { since: { epoch, offset: 0 }, limit: 1, bytes: 1e9, keepsAlive: false };
    expect(await history.read("a", retention, page)).toMatchObject({ head: 3, messages: ["1"] });
    await lose(bus);
    expect(await history.read("a", retention, page)).toMatchObject({ epoch, head: 3, messages: ["1"] });
  });

  test("gives what comes after a hole that somebody made, and says that something is missing", async () => {
    const { history } = await open();
    for (const text of ["1", "2", "3", "4"]) await append(history, "a", text);
    const [, second] = await admin.xrange("lockstep:{a}:log", "-", "+");
    await admin.xdel("lockstep:{a}:log", second?.[0] ?? "");
    const page = { limit: 9, bytes: 1e9, keepsAlive: false };
    const { epoch } = await history.read("a", retention, page);
    const { resumed, start, messages } = await history.read("a", retention, { ...page, since: { epoch, offset: 0 } });
    expect([resumed, start, messages]).toEqual([false, 2, ["3", "4"]]);
  });

  test("publishes and keeps a burst of one channel in lists of at most 256 messages and 256 KiB", async () => {
    const { history, bus, entries } = await open();
    await bus.subscribe("a");
    await Promise.all(Array.from({ length: 600 }, () => append(history, "a", "x")));
    await waitFor("all of them", () => entries.flatMap(([, { messages }]) => messages).length === 600);
    expect(entries.map(([, { first, messages }]) => [first, messages.length])).toEqual([
      [1, 256],
      [257, 256],
      [513, 88],
    ]);
    expect(await admin.xlen("lockstep:{a}:log")).toBe(3);
    await bus.subscribe("b");
    const large = "y".repeat(100 * 1024);
    await Promise.all(Array.from({ length: 5 }, () => append(history, "b", large)));
    await waitFor("the large ones", () => entries.flatMap(([channel, { messages }]) => (channel === "b" ? messages : [])).length === 5);
    expect(entries.flatMap(([channel, { messages }]) => (channel === "b" ? [messages.length] : []))).toEqual([2, 2, 1]);
  });

  test("keeps no more in Redis than a little over what is kept, in bursts too", async () => {
    const { history } = await open();
    for (let burst = 0; burst < 40; burst += 1) {
      await Promise.all(Array.from({ length: 100 }, () => append(history, "a", "x".repeat(100), { size: 150, ttlMs: 60_000 })));
    }
    // A node of a stream is 4 kB, and one list is larger.
    expect(await admin.xlen("lockstep:{a}:log")).toBeLessThanOrEqual(4);
  });

  test("keeps all that is to be kept when a burst comes from an instance that has seen nothing", async () => {
    const [one, other] = [(await open()).history, (await open()).history];
    const kept = { size: 100, ttlMs: 60_000 };
    for (let count = 1; count <= 100; count += 1) await append(one, "a", String(count), kept);
    await Promise.all(Array.from({ length: 50 }, (_, index) => append(other, "a", String(101 + index), kept)));
    const page = await one.read("a", kept, { limit: 100, bytes: 1e9, keepsAlive: false });
    expect(page.messages).toEqual(Array.from({ length: 100 }, (_, index) => String(51 + index)));
  });

  test("refuses what one channel cannot take, and no other's in the same call", async () => {
    const { history } = await open();
    expect(await append(history, "worse", "x")).toBe(1);
    await admin.set("lockstep:{bad}:head", "no hash");
    await admin.set("lockstep:{worse}:log", "no stream");
    expect(await Promise.all(["a", "bad", "b", "worse", "c"].map((channel) => append(history, channel, "x")))).toEqual([
      1,
      "not-confirmed",
      1,
      2,
      1,
    ]);
    await admin.del("lockstep:{bad}:head");
    expect(await Promise.all(["a", "bad", "worse"].map((channel) => append(history, channel, "x")))).toEqual([2, 1, 3]);
  });

  test("logs a refusal once, and again after Redis has taken something", async () => {
    const { history, lines } = await open();
    for (let round = 1; round <= 2; round += 1) {
      await admin.set("lockstep:{bad}:head", "no hash");
      for (let count = 0; count < 2; count += 1) expect(await append(history, "bad", "x")).toBe("not-confirmed");
      expect(await append(history, "good", "x")).toBe(round);
      expect(lines.length).toBe(round);
    }
  });

  test("loses nothing of what is kept where it may not append, and goes on when it may", async () => {
    await admin.acl("SETUSER", "some", "on", ">pw", "~*", "+@all", "allchannels");
    const { history } = await open(redis.url.replace("//", "//some:pw@"));
    for (const text of ["1", "2"]) await append(history, "a", text);
    await admin.acl("SETUSER", "some", "-xadd");
    const stranger = (await open(redis.url.replace("//", "//some:pw@"))).history;
    for (const one of [history, stranger]) expect(await append(one, "a", "x")).toBe("not-confirmed");
    await admin.acl("SETUSER", "some", "+xadd");
    expect((await all(history, "a")).messages).toEqual(["1", "2"]);
    expect(await append(history, "a", "3")).toBe(3);
    expect((await all(history, "a")).messages).toEqual(["1", "2", "3"]);
  });

  test("begins a log anew that is ahead of its head, and says so", async () => {
    const { history } = await open();
    for (const text of ["1", "2"]) await append(history, "a", text);
    await admin.xadd("lockstep:{a}:log", "9-1", "m", "forged");
    for (const [index, text] of ["3", "4"].entries()) expect(await append(history, "a", text)).toBe(3 + index);
    const { epoch, messages } = await all(history, "a");
    expect(messages).toEqual(["3", "4"]);
    const page = { since: { epoch, offset: 1 }, limit: 9, bytes: 1e9, keepsAlive: false };
    expect(await history.read("a", retention, page)).toMatchObject({ resumed: false, start: 2 });
  });

  test("publishes what follows a repeat under a key in the same turn, and takes no foreign value for a repeat", async () => {
    const { history } = await open();
    await admin.set("lockstep:{a}:once:key", "something else");
    expect(await append(history, "a", "x", retention, "key")).toBe(1);
    expect(await Promise.all([append(history, "a", "again", retention, "key"), append(history, "a", "y")])).toEqual([1, 2]);
    expect((await all(history, "a")).messages).toEqual(["x", "y"]);
  });

  test("keeps nothing of what it may not publish, and goes on where it was when it may", async () => {
    await admin.acl("SETUSER", "some", "on", ">pw", "~*", "+@all", "resetchannels", "&a");
    const { history } = await open(redis.url.replace("//", "//some:pw@"));
    expect(await append(history, "a", "x")).toBe(1);
    expect(await append(history, "b", "x")).toBe("not-confirmed");
    expect(await admin.xlen("lockstep:{b}:log")).toBe(0);
    expect(await admin.pttl("lockstep:{b}:head")).toBeGreaterThan(0);
    await admin.acl("SETUSER", "some", "allchannels");
    expect(await append(history, "b", "y")).toBe(1);
    await admin.acl("SETUSER", "some", "resetchannels", "&a");
    expect(await append(history, "b", "x")).toBe("not-confirmed");
    await admin.acl("SETUSER", "some", "allchannels");
    expect(await append(history, "b", "z")).toBe(2);
    const { messages, head } = await all(history, "b");
    expect([messages, head]).toEqual([["y", "z"], 2]);
  });

  test("appends and delivers once what was written when the answer was lost", async () => {
    const proxy = await Proxy.start(redis.port, 60);
    proxies.push(proxy);
    const direct = await open();
    await direct.bus.subscribe("a");
    const { history } = await open(`redis://127.0.0.1:${proxy.port}`);
    const answers = Promise.all(["one", "two"].map((text) => append(history, "a", text)));
    await waitFor("Redis to have it", async () => (await admin.xlen("lockstep:{a}:log")) === 1);
    proxy.cut();
    expect(await answers).toEqual([1, 2]);
    expect(await append(history, "a", "three")).toBe(3);
    await waitFor("the last", () => direct.entries.at(-1)?.[1].messages.at(-1) === "three");
    expect(direct.entries.flatMap(([, { messages }]) => messages)).toEqual(["one", "two", "three"]);
  });

  test("does not take what a repeat was answered for what it has seen", async () => {
    const proxy = await Proxy.start(redis.port, 60);
    proxies.push(proxy);
    const { history, bus } = await open(`redis://127.0.0.1:${proxy.port}`);
    expect(await append(history, "a", "one")).toBe(1);
    const told = append(history, "a", "two");
    await waitFor("Redis to have it", async () => (await admin.xlen("lockstep:{a}:log")) === 2);
    proxy.cut();
    expect(await told).toBe(2);
    proxy.cut();
    await waitFor("the loss to be noticed", () => !bus.ready());
    expect(await append(history, "a", "three")).toBe(3);
  });

  test("appends once what it heard of before it wrote it again, as the first on a channel", async () => {
    const proxy = await Proxy.start(redis.port, 60);
    proxies.push(proxy);
    const { history, bus, entries } = await open(`redis://127.0.0.1:${proxy.port}`);
    await bus.subscribe("a");
    const answers = Promise.all(["one", "two"].map((text) => append(history, "a", text)));
    await waitFor("Redis to have it", async () => (await admin.xlen("lockstep:{a}:log")) === 1);
    // Not its subscriber.
    await admin.call("CLIENT", "KILL", "TYPE", "normal");
    expect(await answers).toEqual([1, 2]);
    expect(entries.map(([, { messages }]) => messages)).toEqual([["one", "two"]]);
    expect((await all(history, "a")).messages).toEqual(["one", "two"]);
  });

  /** Passes on what an instance and Redis say, but for the connection on which a word is said while it swallows. */
  class Swallower {
    swallows = false;
    /** Whether only the answers to that word are swallowed. */
    passes: boolean;
    /** What was swallowed of requests, each to be passed on. */
    readonly late: (() => void)[] = [];
    /** Whether what is delivered has to wait, to be passed on. */
    delays = false;
    readonly delayed: (() => void)[] = [];
    readonly #server: Server;
    readonly #sockets = new Set<Socket>();

    constructor(word: string, passes: boolean) {
      this.passes = passes;
      this.#server = createServer((inside) => {
        const outside = connect(redis.port, "127.0.0.1");
        let silent = false;
        inside.on("data", (data) => {
          silent ||= this.swallows && data.includes(word);
          if (silent && !this.passes) this.late.push(() => outside.write(data));
          else outside.write(data);
        });
        outside.on("data", (data) => {
          if (this.delays && data.includes("message")) this.delayed.push(() => inside.write(data));
          else if (!silent) inside.write(data);
        });
        for (const socket of [inside, outside]) {
          this.#sockets.add(socket);
          socket.on("error", () => socket.destroy());
        }
        inside.on("close", () => silent || outside.destroy());
        outside.on("close", () => inside.destroy());
      });
    }

    async listen(): Promise<string> {
      const port = await freePort();
      await new Promise<void>((resolve) => this.#server.listen(port, "127.0.0.1", resolve));
      return `redis://127.0.0.1:${port}`;
    }

    cut(): void {
      for (const socket of this.#sockets) socket.destroy();
    }

    stop(): void {
      this.cut();
      this.#server.close();
    }
  }

  test("knows a write that comes after its repeat, as from a network that swallowed it for a while", async () => {
    const swallower = new Swallower("late", false);
    const direct = await open();
    await direct.bus.subscribe("a");
    const { history } = await open(await swallower.listen());
    expect(await append(history, "a", "before")).toBe(1);
    swallower.swallows = true;
    const told = append(history, "a", "late");
    await waitFor("it to be swallowed", () => swallower.late.length > 0);
    swallower.swallows = false;
    // The silence is noticed, and it is written again.
    expect(await told).toBe(2);
    expect(await append(history, "a", "after")).toBe(3);
    const before = await calls("evalsha");
    for (const write of swallower.late) write();
    await waitFor("the late one to come", async () => (await calls("evalsha")) > before);
    expect(await append(direct.history, "a", "last")).toBe(4);
    await waitFor("the last", () => direct.entries.at(-1)?.[1].messages.at(-1) === "last");
    expect(direct.entries.flatMap(([, { messages }]) => messages)).toEqual(["before", "late", "after", "last"]);
    swallower.stop();
  });

  test.each([1, 2])("delivers once what Redis forgot before it could answer, message %d of a channel", async (which) => {
    const swallower = new Swallower("once", true);
    const { history, bus, entries } = await open(await swallower.listen());
    await bus.subscribe("a");
    if (which > 1) expect(await append(history, "a", "before")).toBe(1);
    swallower.swallows = true;
    const told = append(history, "a", "once");
    await waitFor("it to be delivered", () => entries.at(-1)?.[1].messages.at(-1) === "once");
    swallower.swallows = false;
    await admin.flushall();
    swallower.cut();
    expect(await told).toBe(which);
    expect(await append(history, "a", "after")).toBe(1);
    await waitFor("the last", () => entries.at(-1)?.[1].messages.at(-1) === "after");
    expect(entries.flatMap(([, { messages }]) => messages)).toEqual([...(which > 1 ? ["before"] : []), "once", "after"]);
    swallower.stop();
  });

  test("delivers once what it heard of only after it had written it again, where Redis has forgotten both", async () => {
    const swallower = new Swallower("once", true);
    const { history, bus, entries } = await open(await swallower.listen());
    await bus.subscribe("a");
    expect(await append(history, "a", "before")).toBe(1);
    await waitFor("the first", () => entries.length === 1);
    swallower.swallows = swallower.delays = true;
    const told = append(history, "a", "once");
    await waitFor("Redis to have it", async () => (await admin.xlen("lockstep:{a}:log")) === 2);
    swallower.passes = false;
    // Not its subscriber.
    await admin.call("CLIENT", "KILL", "TYPE", "normal");
    await waitFor("it to be written again", () => swallower.late.length > 0);
    for (const deliver of swallower.delayed) deliver();
    await waitFor("it to be delivered", () => entries.at(-1)?.[1].messages.at(-1) === "once");
    swallower.swallows = swallower.delays = false;
    await admin.flushall();
    swallower.cut();
    expect(await told).toBe(2);
    expect(await append(history, "a", "after")).toBe(1);
    await waitFor("the last", () => entries.at(-1)?.[1].messages.at(-1) === "after");
    expect(entries.flatMap(([, { messages }]) => messages)).toEqual(["before", "once", "after"]);
    swallower.stop();
  });

  test("says anew what a call says where Redis has lost the script", async () => {
    const { history } = await open();
    expect(await append(history, "a", "x")).toBe(1);
    await admin.script("FLUSH");
    expect(await Promise.all(["a", "b"].map((channel) => append(history, channel, "y")))).toEqual([2, 1]);
  });

  test("renews times to live later where a message that should have done so did not arrive", async () => {
    await admin.acl("SETUSER", "some", "on", ">pw", "~*", "+@all", "allchannels");
    const { history } = await open(redis.url.replace("//", "//some:pw@"));
    const kept = { size: 10, ttlMs: 16_000 };
    for (const text of ["1", "2"]) expect(await append(history, "a", text, kept)).toBe(Number(text));
    const shorten = (): Promise<number> => admin.pexpire("lockstep:{a}:head", 5000);
    await shorten();
    setSystemTime(new Date(Date.now() + 2000));
    await admin.script("FLUSH");
    expect(await append(history, "a", "3", kept)).toBe(3);
    expect(await admin.pttl("lockstep:{a}:head")).toBeGreaterThan(5000);
    await shorten();
    setSystemTime(new Date(Date.now() + 2000));
    await admin.acl("SETUSER", "some", "resetchannels");
    expect(await append(history, "a", "x", kept)).toBe("not-confirmed");
    await admin.acl("SETUSER", "some", "allchannels");
    expect(await append(history, "a", "4", kept)).toBe(4);
    expect(await admin.pttl("lockstep:{a}:head")).toBeGreaterThan(5000);
  });

  test("goes by another retention at once", async () => {
    const { history } = await open();
    await Promise.all(Array.from({ length: 20 }, () => append(history, "a", "x")));
    await append(history, "a", "y", { size: 5, ttlMs: 2000 });
    expect(await admin.pttl("lockstep:{a}:log")).toBeGreaterThan(0);
    await waitFor("the shorter time to live", async () => {
      await append(history, "a", "y", { size: 5, ttlMs: 2000 });
      return (await admin.pttl("lockstep:{a}:log")) < 3000;
    });
  });

  test("forgets the last batches of instances that are gone, when another one comes", async () => {
    const head = "lockstep:{a}:head";
    const micros = (agoMs: number): string => String((Date.now() - agoMs) * 1000);
    await append((await open()).history, "a", "x");
    // So few are no burden, whatever they say: clocks may differ.
    await admin.hset(head, { oldfew00: `7 e 1 ${micros(3_600_000)}` });
    await append((await open()).history, "a", "x");
    expect(await admin.hkeys(head)).toContain("oldfew00");
    const names = (name: string): string[] => Array.from({ length: 30 }, (_, index) => `${name}${index + 10}`);
    await admin.hset(head, Object.fromEntries(names("recent").map((name) => [name, `7 e 1 ${micros(60_000)}`])));
    await append((await open()).history, "a", "x");
    await admin.hset(head, Object.fromEntries(names("lggone").map((name) => [name, `7 e 1 ${micros(3_600_000)}`])));
    await append((await open()).history, "a", "x");
    const fields = Object.keys(await admin.hgetall(head));
    expect(fields).toEqual(expect.arrayContaining(names("recent")));
    expect(fields.filter((field) => field.startsWith("lggone"))).toEqual([]);
    expect(fields.length).toBe(3 + 4 + 30);
  });

  test("keeps a busy log alive, and lets it go when its time has come", async () => {
    const { history } = await open();
    const short = { size: 10, ttlMs: 800 };
    const endMs = Date.now() + 2000;
    for (let count = 1; Date.now() < endMs; count += 1) {
      await append(history, "a", "x", short);
      // Also where messages come faster than times to live are renewed.
      await Bun.sleep(count % 10 === 0 ? 100 : 10);
      expect(await admin.xlen("lockstep:{a}:log")).toBeGreaterThanOrEqual(Math.min(count, 10));
    }
    expect(await admin.pttl("lockstep:{a}:log")).toBeGreaterThan(0);
    expect(await admin.pttl("lockstep:{a}:log")).toBeLessThanOrEqual(850);
    expect(await admin.pttl("lockstep:{a}:head")).toBeGreaterThan(24 * 3600 * 1000);
  });
});

/** @throws where the bus gave none */
function known(checkpoint: Checkpoint | undefined): { checkpoint: Checkpoint } {
  if (checkpoint === undefined) throw new Error("no checkpoint");
  return { checkpoint };
}

test("no answer is believed that is not the script's, and what it is instead is not said", () => {
  const outbox = new Outbox<string | undefined, AppendRoute>({
    total: new OutboxTotal(limits),
    inFlight: "one",
    rewrites: true,
    maxBatch: 9,
    maxBatchBytes: 9,
    route: (channel) => new AppendRoute(channel, new ChannelKeys("", channel), channel),
    retry: () => undefined,
    followed: () => 0,
  });
  outbox.add("a", "x", undefined, { broken: false, confirmed: () => undefined, refused: () => undefined }, false);
  const batch = outbox.take();
  if (batch === undefined) throw new Error("nothing to write");
  const part = { batch, settings: Buffer.alloc(0), epoch: "e", offset: 4, checkpoint: undefined, isNext: true };
  expect(readAppended("", [part])).toEqual([{ epoch: "e", offset: 5, isNew: true }]);
  expect(readAppended("f 7 0", [part])).toEqual([{ epoch: "f", offset: 7, isNew: false }]);
  expect(readAppended("!why", [part])).toEqual([new Error("why")]);
  for (const answer of ["PONG", "1", "e 7", "e 7 0 secret", "e x 1", "e 7 0\ne 8 0", null])
    expect(() => readAppended(answer, [part])).toThrow(/^Redis answered something else$/);
  outbox.close(new Problem("bus-away", "over"));
});
