import { afterEach, describe, expect, setSystemTime, test } from "bun:test";
import type { Page } from "../src/bus/history.ts";
import { Kind } from "../src/channels/kind.ts";
import { CatchUps } from "../src/hub/catch-ups.ts";
import { LocalChannel } from "../src/hub/local-channel.ts";
import { waitFor } from "./support/wait.ts";

/** Longer than the clients of a channel are left to wait for a log that cannot be read. */
const LONG_MS = 8000;

/** Catches up from a log whose reads are answered by the test. */
class Reader {
  readonly reads: PromiseWithResolvers<Page>[] = [];
  readonly local = new LocalChannel("a", new Kind({ path: "a", history: { size: 10, ttl: "1m" } }), "1 a", {
    follow: () => undefined,
    missed: () => undefined,
    behind: () => undefined,
  });
  ready = true;
  abandoned = 0;
  readonly catchUps = new CatchUps({
    history: () => ({ append: () => undefined, read: () => this.#read(), renew: () => undefined }),
    ready: () => this.ready,
    wanted: () => true,
    recovered: () => undefined,
    unreadable: () => (this.abandoned += 1),
  });

  constructor() {
    this.catchUps.start();
    this.catchUps.add(this.local);
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
    for (const { catchUps } of readers.splice(0)) catchUps.rest();
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
    await waitFor("it to be live", () => reader.local.follower?.live === true);
    pass(LONG_MS);
    reader.local.follower?.interrupt();
    reader.catchUps.add(reader.local);
    await reader.fail(3);
    expect(reader.abandoned).toBe(0);
  });

  test("is not given up for what failed before a loss, or while the bus is away", async () => {
    const reader = begin();
    reader.catchUps.rest();
    reader.reads[0]?.reject(new Error("lost"));
    await reader.reads[0]?.promise.catch(() => undefined);
    pass(LONG_MS);
    reader.catchUps.start();
    reader.catchUps.add(reader.local);
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
    reader.catchUps.add(reader.local);
    expect(reader.reads.length).toBe(1);
  });
});
