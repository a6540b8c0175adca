import { expect, test } from "bun:test";
import type { Checkpoint, Entries, Page, ReadFrom } from "../../../src/bus/history.ts";
import { LogFollower } from "../../../src/hub/log-follower.ts";
import type { Message } from "../../../src/message.ts";
import { randomNumbers } from "../../support/random.ts";

/** A checkpoint of the test's own log. */
function checkpointOf(stamp: number): Checkpoint {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- opaque to the follower
  return stamp as unknown as Checkpoint;
}

const SIZE = 30;
const STEPS = 200_000;

/** A log as Redis keeps it, that can forget, and what it publishes. */
class ModelLog {
  epoch = "e1";
  entries: { text: string; stamp: number }[] = [];
  readonly wire: Entries[] = [];
  #clock = 0;
  #epochs = 1;

  append(texts: readonly string[]): void {
    const stamp = (this.#clock += 1);
    this.wire.push({ epoch: this.epoch, first: this.entries.length + 1, checkpoint: checkpointOf(stamp), messages: texts });
    for (const text of texts) this.entries.push({ text, stamp });
  }

  forget(count: number): void {
    this.entries.splice(Math.max(0, this.entries.length - count));
  }

  /** As read.lua does it. */
  read({ since, checkpoint }: ReadFrom): Page {
    if (since !== undefined && checkpoint !== undefined && since.epoch === this.epoch) {
      const there = since.offset === 0 ? 0 : this.entries[since.offset - 1]?.stamp;
      if (checkpointOf(there ?? -1) !== checkpoint) {
        this.epoch = `e${(this.#epochs += 1)}`;
        this.entries = [];
      }
    }
    const head = this.entries.length;
    const oldest = Math.max(0, head - SIZE);
    const resumed = since !== undefined && since.epoch === this.epoch && since.offset <= head && since.offset >= oldest;
    const start = since === undefined ? Math.max(0, head - 1) : resumed ? since.offset : oldest;
    // Pages end before the log, now and then.
    const end = head % 3 === 0 ? start + 10 : head;
    const messages = this.entries.slice(start, end).map(({ text }) => text);
    const last = this.entries[start + messages.length - 1]?.stamp ?? 0;
    return { epoch: this.epoch, head, checkpoint: checkpointOf(last), resumed: since === undefined ? null : resumed, start, messages };
  }
}

test("makes each message once and in order of whatever arrives, or tells; for those who join in the middle, too", () => {
  const random = randomNumbers();
  const log = new ModelLog();
  let sent = 0;
  let handed: string[] = [];
  let behind = true;
  let connected = true;
  let told = 0;
  let checked = 0;
  /** What is handed on after a join is what the log held after its position. */
  let joiner: { epoch: string; head: number; from: number } | undefined;
  const follower: LogFollower = new LogFollower({
    follow: (message: Message, epoch, offset) => {
      // The model is what this epoch had at this offset when it was published.
      expect(message).toBe(truth.get(`${epoch} ${offset} ${String(message)}`) ?? "something that never was");
      handed.push(`${epoch} ${offset}`);
    },
    missed: (left) => {
      told += 1;
      const last = handed.at(-1);
      if (last !== undefined) expect(left).toBe(last.replace(" ", "-"));
      handed = [];
    },
    behind: () => (behind = true),
  });
  const truth = new Map<string, string>();
  let reading: { read: number; page: Page } | undefined;
  for (let step = 0; step < STEPS; step += 1) {
    const action = random(100);
    if (action < 40) {
      const texts = Array.from({ length: 1 + random(3) }, () => `m${(sent += 1)}`);
      for (const [index, text] of texts.entries()) {
        const key = `${log.epoch} ${log.entries.length + 1 + index} ${text}`;
        truth.set(key, text);
      }
      log.append(texts);
      if (!connected) log.wire.length = 0;
    } else if (action < 75) {
      const entries = log.wire.shift();
      if (entries !== undefined && connected) follower.arrive(entries);
    } else if (action < 77) {
      // The connection dies, and with it what was on it.
      log.wire.length = 0;
      connected = false;
      reading = undefined;
      follower.interrupt();
      behind = true;
      if (random(4) === 0) log.forget(random(10));
    } else if (action < 80) connected = true;
    else if (action < 90) {
      if (!connected || !behind) continue;
      if (reading === undefined) {
        const { read, from } = follower.begin(SIZE, 1000);
        reading = { read, page: log.read(from) };
      } else {
        behind = false;
        behind = !follower.caughtUp(reading.read, reading.page);
        reading = undefined;
      }
    } else if (action < 95 && follower.live && joiner === undefined) {
      follower.buffer();
      if (log.entries.length === 0) continue;
      const page = log.read({ limit: 1, bytes: 1, keepsAlive: true });
      joiner = { epoch: page.epoch, head: page.head, from: checked };
    } else if (joiner !== undefined) {
      const { epoch, head } = joiner;
      const after = follower.bufferedAfter(epoch, head);
      if (after !== undefined) {
        checked += 1;
        const expected = log.entries.slice(head, head + after.length).map(({ text }) => text);
        if (log.epoch === epoch && follower.live) expect(after).toEqual(expected);
      }
      follower.unbuffer();
      joiner = undefined;
    }
    // No hole, no double, no other order within what nobody was told about.
    for (let index = Math.max(1, handed.length - 4); index < handed.length; index += 1) {
      const [epoch, offset] = handed[index]?.split(" ") ?? [];
      const [before, previous] = handed[index - 1]?.split(" ") ?? [];
      expect([epoch, Number(offset)]).toEqual([before, Number(previous) + 1]);
    }
    if (handed.length > 1000) handed = handed.slice(-10);
  }
  expect(told).toBeGreaterThan(20);
  expect(checked).toBeGreaterThan(100);
});

test("is not led to believe that it is live by a read from before a loss", () => {
  const follower = new LogFollower({ follow: () => 0, missed: () => 0, behind: () => 0 });
  const { read } = follower.begin(1, 1000);
  follower.interrupt();
  const page: Page = { epoch: "e", head: 3, checkpoint: checkpointOf(1), resumed: null, start: 2, messages: ["x"] };
  expect(follower.caughtUp(read, page)).toBe(false);
  expect(follower.live).toBe(false);
});

test("reads once more when too much arrived during a read", () => {
  const handed: number[] = [];
  const follower = new LogFollower({ follow: (_, __, offset) => handed.push(offset), missed: () => 0, behind: () => 0 });
  const first = follower.begin(9, 1000);
  const big = "x".repeat(5 * 1024 * 1024);
  for (const offset of [1, 2]) follower.arrive({ epoch: "e", first: offset, checkpoint: checkpointOf(offset), messages: [big] });
  expect(follower.caughtUp(first.read, { epoch: "e", head: 0, checkpoint: checkpointOf(0), resumed: null, start: 0, messages: [] })).toBe(
    false,
  );
  const second = follower.begin(9, 1000);
  expect(second.from).toEqual({ since: { epoch: "e", offset: 0 }, checkpoint: checkpointOf(0), limit: 9, bytes: 1000, keepsAlive: true });
  expect(
    follower.caughtUp(second.read, { epoch: "e", head: 2, checkpoint: checkpointOf(2), resumed: true, start: 0, messages: [big, big] }),
  ).toBe(true);
  expect(handed).toEqual([1, 2]);
});

test("asks to be read on from the checkpoint of the last message it took, whatever repeats", () => {
  const follower = new LogFollower({ follow: () => 0, missed: () => 0, behind: () => 0 });
  const { read } = follower.begin(9, 1000);
  follower.caughtUp(read, { epoch: "e", head: 1, checkpoint: checkpointOf(10), resumed: null, start: 1, messages: [] });
  for (const stamp of [20, 99]) follower.arrive({ epoch: "e", first: 2, checkpoint: checkpointOf(stamp), messages: ["b"] });
  const again = follower.begin(9, 1000);
  expect(again.from.checkpoint).toBe(checkpointOf(20));
  follower.caughtUp(again.read, { epoch: "e", head: 2, checkpoint: checkpointOf(20), resumed: true, start: 2, messages: [] });
  expect(follower.advance({ epoch: "e", head: 3, checkpoint: checkpointOf(30), resumed: true, start: 2, messages: ["c"] })).toBe(true);
  expect(follower.begin(9, 1000).from.checkpoint).toBe(checkpointOf(30));
});

test("wakes waiters when it is live, and when it reaches an offset, and nobody else", async () => {
  const follower = new LogFollower({ follow: () => 0, missed: () => 0, behind: () => 0 });
  const deadlineMs = Date.now() + 10_000;
  const live = follower.whenLive(deadlineMs);
  expect(await follower.whenLive(Date.now())).toBe(false);
  const { read } = follower.begin(9, 1000);
  follower.caughtUp(read, { epoch: "e", head: 1, resumed: null, start: 1, messages: [] });
  expect(await live).toBe(true);
  const reached = follower.whenReached("e", 3, deadlineMs);
  const never = follower.whenReached("e", 9, deadlineMs);
  follower.arrive({ epoch: "e", first: 2, messages: ["b"] });
  follower.arrive({ epoch: "e", first: 3, messages: ["c"] });
  expect(await reached).toBe(true);
  expect(await follower.whenReached("other", 3, deadlineMs)).toBe(false);
  follower.interrupt();
  expect(await never).toBe(false);
});
