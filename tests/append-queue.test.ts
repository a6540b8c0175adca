import { afterEach, describe, expect, test } from "bun:test";
import { Allowance } from "../src/bus/allowance.ts";
import type { AppendBatch } from "../src/bus/append-lane.ts";
import { AppendQueue } from "../src/bus/append-queue.ts";
import type { Sender } from "../src/bus/bus.ts";
import { Problem } from "../src/errors.ts";
import { waitFor } from "./support/wait.ts";

const retention = { size: 10, ttlMs: 60_000 };
/** More lanes than are kept for a while where nobody follows their channels. */
const MANY = 5000;

/** A client that publishes, and stops when a message of it is refused. */
class Publisher implements Sender {
  broken = false;
  refusals = 0;
  confirmed(): void {}
  refused(): void {
    this.broken = true;
    this.refusals += 1;
  }
}

describe("what waits for the logs of channels", () => {
  let queue: AppendQueue | undefined;
  afterEach(() => queue?.close(new Problem("bus-away", "over")));

  function begin(publishTimeoutMs: number, followed = 0): { queue: AppendQueue; allowance: Allowance } {
    const allowance = new Allowance({ publishQueue: 10 * MANY, publishQueueBytes: 1e6, publishTimeoutMs });
    const begun = (queue = new AppendQueue(
      allowance,
      () => undefined,
      () => followed,
    ));
    return { queue: begun, allowance };
  }

  function write(into: AppendQueue, channel: string): AppendBatch {
    into.add(channel, retention, "x", undefined, new Publisher(), false);
    const batch = into.take();
    if (batch === undefined) throw new Error("nothing to write");
    return batch;
  }

  test("is refused after its time, written or not, though other messages came and went", async () => {
    const { queue: waiting } = begin(400);
    const [written, queued] = [new Publisher(), new Publisher()];
    waiting.add("a", retention, "x", undefined, written, false);
    waiting.take();
    waiting.add("a", retention, "y", undefined, queued, false);
    const startedMs = Date.now();
    const others = setInterval(() => waiting.confirmed(write(waiting, "b"), "e", 1), 10);
    await waitFor("both to be told", () => written.refusals + queued.refusals === 2, 3000);
    clearInterval(others);
    expect(Date.now() - startedMs).toBeGreaterThanOrEqual(390);
  });

  test("is refused after its time, whatever was refused before it", async () => {
    const { queue: waiting } = begin(400);
    const [first, second] = [new Publisher(), new Publisher()];
    waiting.add("a", retention, "x", undefined, first, false);
    const batch = waiting.take();
    await Bun.sleep(200);
    waiting.add("b", retention, "x", undefined, second, false);
    waiting.take();
    await waitFor("the first to be told", () => first.refusals === 1, 1000);
    expect(second.refusals).toBe(0);
    if (batch !== undefined) waiting.confirmed(batch, "e", 1);
    await waitFor("the second to be told", () => second.refusals === 1, 1000);
  });

  test("that is to be written again stays so until it is taken", async () => {
    const { queue: waiting } = begin(60_000);
    const batch = write(waiting, "a");
    waiting.failed(batch);
    waiting.retry();
    // Longer than it takes to be looked for what has nothing to write any more.
    await Bun.sleep(300);
    expect(waiting.take()).toBe(batch);
  });

  test("is dropped soon where its sender was refused", async () => {
    const { queue: waiting, allowance } = begin(60_000);
    const sender = new Publisher();
    for (const channel of ["a", "b"]) waiting.add(channel, retention, "x", undefined, sender, true);
    const batch = waiting.take();
    if (batch !== undefined) waiting.refused(batch, new Problem("not-confirmed", "refused"));
    await waitFor("the other one to make room", () => allowance.messages === 0, 2000);
    expect(sender.refusals).toBe(1);
  });

  test.each([
    ["goes soon", "are", 0, false],
    ["stays for a while", "are not", MANY, true],
  ])("%s from memory where %s many channels beyond those that are followed", async (_, _are, followed, stays) => {
    const { queue: waiting } = begin(60_000, followed);
    const { lane } = write(waiting, "a");
    if (lane.batch !== undefined) waiting.confirmed(lane.batch, "e", 1);
    for (let index = 0; index < MANY; index += 1) waiting.confirmed(write(waiting, `other ${index}`), "e", 1);
    await Bun.sleep(500);
    expect(write(waiting, "a").lane === lane).toBe(stays);
  });
});
