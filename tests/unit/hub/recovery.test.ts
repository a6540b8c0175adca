import { afterEach, describe, expect, setSystemTime, test } from "bun:test";
import type { Bus } from "../../../src/bus/bus.ts";
import type { Page } from "../../../src/bus/history.ts";
import { Counts } from "../../../src/counts.ts";
import { LogFollower } from "../../../src/hub/log-follower.ts";
import { Recovery, type Followed } from "../../../src/hub/recovery.ts";
import { waitFor, whileNothingHappens } from "../../support/wait.ts";

/** Longer than the clients of a channel are left to wait for a log that cannot be read. */
const LONG_MS = 8000;

/** Recovers from a log whose reads are answered by the test. */
class Reader implements Followed {
  readonly reads: PromiseWithResolvers<Page>[] = [];
  readonly name = "a";
  readonly retention = { size: 10, ttlMs: 60_000 };
  readonly log = new LogFollower({ follow: () => undefined, missed: () => undefined, behind: () => undefined });
  readonly closed = false;
  live = true;
  ready = true;
  abandoned = 0;
  readonly recovery: Recovery;

  constructor() {
    const refuse = (): never => {
      throw new Error("not asked for");
    };
    const bus: Bus = {
      waiting: 0,
      history: { append: refuse, read: () => this.#read(), renew: refuse },
      ready: () => this.ready,
      subscribe: refuse,
      unsubscribe: refuse,
      publish: refuse,
      settled: refuse,
      close: refuse,
    };
    this.recovery = new Recovery({ bus, counts: new Counts() });
    this.recovery.add(this);
  }

  abandon(): void {
    this.abandoned += 1;
  }

  /** Lets so many reads in all fail, and waits for the next one. */
  async fail(count: number): Promise<void> {
    this.reads[count - 1]?.reject(new Error("not read"));
    await waitFor("another try", () => this.reads.length > count);
  }

  #read(): Promise<Page> {
    const read = Promise.withResolvers<Page>();
    this.reads.push(read);
    return read.promise;
  }
}

function pass(ms: number): void {
  setSystemTime(new Date(Date.now() + ms));
}

describe("a log that cannot be read", () => {
  const readers: Reader[] = [];
  const begin = (): Reader => {
    const reader = new Reader();
    readers.push(reader);
    return reader;
  };
  afterEach(() => {
    setSystemTime();
    for (const { recovery } of readers.splice(0)) recovery.close();
  });

  test("is tried again, and given up after a while", async () => {
    const reader = begin();
    await reader.fail(1);
    expect(reader.abandoned).toBe(0);
    pass(LONG_MS);
    await reader.fail(2);
    expect(reader.abandoned).toBe(1);
  });

  test("is not given up where it was read meanwhile", async () => {
    const reader = begin();
    await reader.fail(1);
    reader.reads[1]?.resolve({ epoch: "e", head: 0, resumed: null, start: 0, messages: [] });
    await waitFor("it to be live", () => reader.log.live);
    pass(LONG_MS);
    reader.log.interrupt();
    reader.recovery.add(reader);
    await reader.fail(3);
    expect(reader.abandoned).toBe(0);
  });

  test("is not given up for what failed before a loss, or while the bus is away", async () => {
    const reader = begin();
    reader.live = false;
    reader.recovery.delete(reader);
    reader.reads[0]?.reject(new Error("lost"));
    await reader.reads[0]?.promise.catch(() => undefined);
    pass(LONG_MS);
    reader.live = true;
    reader.recovery.add(reader);
    await reader.fail(2);
    reader.ready = false;
    pass(LONG_MS);
    await reader.fail(3);
    reader.ready = true;
    await reader.fail(4);
    expect(reader.abandoned).toBe(0);
    pass(LONG_MS);
    await reader.fail(5);
    expect(reader.abandoned).toBe(1);
  });

  test("is read once at a time", () => {
    const reader = begin();
    reader.recovery.add(reader);
    expect(reader.reads.length).toBe(1);
  });
});

test("a log whose reading ends after the recovery does is not read again", async () => {
  const reader = new Reader();
  reader.recovery.close();
  reader.reads[0]?.reject(new Error("late"));
  await whileNothingHappens(300);
  expect(reader.reads.length).toBe(1);
});
