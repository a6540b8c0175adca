import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { Cron } from "croner";
import type { Redis } from "ioredis";
import { formatTime, lastDue } from "../../../src/broadcasts.ts";
import type { Bus } from "../../../src/bus/bus.ts";
import type { Tick } from "../../../src/bus/ticks.ts";
import { openBus } from "../../../src/bus/open.ts";
import { Counts } from "../../../src/counts.ts";
import { Log } from "../../../src/log.ts";
import { Server } from "../../support/executable.ts";
import { Instance } from "../../support/instance.ts";
import { RedisServer } from "../../support/redis.ts";
import { waitFor } from "../../support/wait.ts";

// Also for a plain `bun test`: bunfig.toml's own `timeout` is ignored.
setDefaultTimeout(30_000);

const everySecond = '[[channels]]\npath = "ticks"\n[[broadcasts]]\npath = "ticks"\npattern = "* * * * * *"\nmessage = "at {time}"';

describe("a broadcast", () => {
  test.concurrent("on the memory bus ticks on the second, with the local time of its zone", async () => {
    const instance = await Instance.start({ toml: everySecond, env: { TZ: "Asia/Shanghai" } });
    const client = await instance.join("ticks");
    const ticks = (await client.receive(3)).map(String);
    await instance.stop();
    const times = ticks.map((tick) => Date.parse(`${tick.slice("at ".length).replace(" ", "T")}+08:00`));
    expect(ticks).toEqual(ticks.map((tick) => expect.stringMatching(/^at \d{4}-\d\d-\d\d \d\d:\d\d:\d\d$/) && tick));
    expect(times).toEqual(times.map((_, index) => (times[0] ?? 0) + index * 1000));
    expect(Math.abs(Date.now() - (times[2] ?? 0))).toBeLessThan(5000);
  });

  test.concurrent("of the built-in channel comes every 5 s, in the tutorial's words", async () => {
    const instance = await Instance.start({ env: { TZ: "UTC" } });
    const client = await instance.join("ws_example_channel");
    const [first, second] = (await client.receive(2)).map((tick) =>
      Date.parse(`${/^TODO 示例:当前时间\(周期任务\): (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)$/.exec(String(tick))?.[1]?.replace(" ", "T")}Z`),
    );
    await instance.stop();
    expect((first ?? 0) % 5000).toBe(0);
    expect((second ?? 0) - (first ?? 0)).toBe(5000);
  });

  test.concurrent("that fails is logged, and neither ends the process nor the ticks to come", async () => {
    const redis = await RedisServer.start();
    const instance = await Instance.start({ toml: everySecond, env: { REDIS_URL: redis.url } });
    await redis.kill();
    await waitFor("a tick to fail", () => instance.log.some(({ msg }) => msg === "a broadcast failed"));
    await redis.start();
    const client = await instance.join("ticks");
    await client.receive(2);
    await instance.stop();
    await redis.stop();
  });

  test("comes once for three processes, and goes on when two of them are killed", async () => {
    const redis = await RedisServer.start();
    const heard: string[] = [];
    const reader = redis.client();
    reader.on("message", (_: string, message: string) => heard.push(message));
    await reader.subscribe("ws_example_channel");
    const servers = await Promise.all([1, 2, 3].map(() => Server.start({ REDIS_URL: redis.url, TZ: "UTC" })));
    await waitFor("a tick", () => heard.length > 0);
    for (const server of servers.slice(0, 2)) {
      await server.end("SIGKILL");
      const before = heard.length;
      await waitFor("another tick", () => heard.length > before);
    }
    expect(await servers[2]?.end()).toBe(0);
    await redis.stop();
    const times = heard.map((tick) => Date.parse(`${tick.slice(-19).replace(" ", "T")}Z`));
    expect(times).toEqual(times.map((_, index) => (times[0] ?? 0) + index * 5000));
  });
});

describe("the claim of a tick", () => {
  let redis: RedisServer;
  let admin: Redis;
  let buses: Bus[];
  let schedules = 0;
  beforeAll(async () => {
    redis = await RedisServer.start();
    admin = redis.client();
    const limits = { publishQueue: 1, publishQueueBytes: 1, publishTimeoutMs: 1 };
    const listener = { deliver: () => 0, deliverEntries: () => 0, deliverPresence: () => 0, lost: () => 0, restored: () => 0 };
    const log = new Log("error", "json", () => 0);
    buses = await Promise.all([1, 2, 3].map(() => openBus({ url: redis.url, prefix: "", limits, counts: new Counts(), log }, listener)));
  });
  afterAll(async () => {
    for (const bus of buses) bus.close();
    await redis.stop();
  });

  /** A fresh schedule of a tick a second, claimed by instances whose clocks are off by some milliseconds. Returns who published. */
  function schedule(): (instance: number, offMs: number) => Promise<boolean> {
    const name = `test-${(schedules += 1)}`;
    return (instance, offMs) => {
      const dueMs = Math.floor((Date.now() + offMs) / 1000) * 1000;
      const tick: Tick = { schedule: name, dueMs, periodMs: 1000, channel: "ticks", retention: undefined, text: "tick" };
      return buses[instance]?.ticks?.claim(tick) ?? Promise.reject(new Error("no such instance"));
    };
  }

  test("is given to one of all who claim at once", async () => {
    const claim = schedule();
    const won = await Promise.all([0, 1, 2, 0, 1, 2].map((instance) => claim(instance, 0)));
    expect(won.filter(Boolean).length).toBe(1);
  });

  test("is given once when clocks differ a little: who is behind claims what was claimed before", async () => {
    const claim = schedule();
    expect(await claim(0, 30_000)).toBe(true);
    expect(await claim(1, 0)).toBe(false);
    expect(await claim(2, -30_000)).toBe(false);
    expect(await claim(0, 31_000)).toBe(true);
  });

  test("is not taken from the right clocks by one that is an hour ahead, and that one adds no ticks of its own", async () => {
    const claim = schedule();
    expect(await claim(0, 3_600_000)).toBe(true);
    expect(await claim(1, 0)).toBe(true);
    expect(await claim(0, 3_601_000)).toBe(false);
    expect(await claim(2, 1000)).toBe(true);
    expect(await claim(0, 3_602_000)).toBe(false);
  });

  test("is given to a lone instance whose clock is an hour ahead, tick for tick", async () => {
    const claim = schedule();
    for (const offMs of [3_600_000, 3_601_000, 3_602_000]) expect(await claim(0, offMs)).toBe(true);
    expect(await claim(0, 3_602_000)).toBe(false);
  });

  test("leaves one key behind, with a time to live", async () => {
    const claim = schedule();
    await claim(0, 0);
    expect(await admin.pttl(`lockstep:{ticks}:tick:test-${schedules}`)).toBeWithin(1, 86_400_001);
  });
});

describe("the last time a job was due", () => {
  const due = (pattern: string, now: string): string | undefined => {
    const job = new Cron(pattern, { paused: true, timezone: "UTC" });
    return lastDue(job, Date.parse(now))?.toISOString();
  };

  test.each([
    ["*/5 * * * * *", "2026-03-01T10:00:05.003Z", "2026-03-01T10:00:05.000Z"],
    ["*/5 * * * * *", "2026-03-01T10:00:09.999Z", "2026-03-01T10:00:05.000Z"],
    ["0 30 9 * * *", "2026-03-01T09:30:00.002Z", "2026-03-01T09:30:00.000Z"],
    ["0 30 9 * * *", "2026-03-02T09:29:59.000Z", "2026-03-01T09:30:00.000Z"],
    ["0 0 0 29 2 *", "2026-03-01T00:00:00.000Z", "2024-02-29T00:00:00.000Z"],
  ])("of %s at %s is %s", (pattern, now, expected) => {
    expect(due(pattern, now)).toBe(expected);
  });
});

test("a schedule of seconds goes on in the hour that a clock is set back, as croner 6 did not", () => {
  const job = new Cron("*/5 * * * * *", { paused: true, timezone: "Europe/Berlin" });
  const start = Date.parse("2026-10-25T00:30:00.000Z");
  const runs = job.nextRuns(1440, new Date(start)).map((run) => run.getTime());
  expect(runs).toEqual(runs.map((_, index) => start + 5000 * (index + 1)));
  expect(lastDue(job, Date.parse("2026-10-25T01:15:03.000Z"))?.toISOString()).toBe("2026-10-25T01:15:00.000Z");
});

test("a time is written in its zone", () => {
  const time = new Date("2024-08-14T16:05:09Z");
  expect(formatTime(time, "Asia/Shanghai")).toBe("2024-08-15 00:05:09");
  expect(formatTime(time, "America/New_York")).toBe("2024-08-14 12:05:09");
});
