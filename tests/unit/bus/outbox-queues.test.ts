import { afterEach, describe, expect, test } from "bun:test";
import type { Sender } from "../../../src/bus/publisher.ts";
import { OutboxTotal } from "../../../src/bus/outbox-bounds.ts";
import type { Batch } from "../../../src/bus/outbox-queue.ts";
import { Outbox } from "../../../src/bus/outbox.ts";
import { Problem } from "../../../src/errors.ts";
import { waitFor } from "../../support/wait.ts";

/** More queues than are kept for a while where nobody follows their channels. */
const MANY = 5000;

const confirm = (sender: Sender): void => sender.confirmed(null);

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
  let outbox: Outbox<undefined, undefined> | undefined;
  afterEach(() => outbox?.close(new Problem("bus-away", "over")));

  function begin(publishTimeoutMs: number, followed = 0): { queue: Outbox<undefined, undefined>; total: OutboxTotal } {
    const total = new OutboxTotal({ publishQueue: 10 * MANY, publishQueueBytes: 1e6, publishTimeoutMs });
    const queue = (outbox = new Outbox({
      total,
      inFlight: "one",
      rewrites: true,
      maxBatch: 256,
      maxBatchBytes: 1e6,
      route: () => undefined,
      retry: () => undefined,
      followed: () => followed,
    }));
    return { queue, total };
  }

  function write(into: Outbox<undefined, undefined>, channel: string): Batch<undefined, undefined> {
    into.add(channel, "x", undefined, new Publisher(), false);
    const batch = into.take();
    if (batch === undefined) throw new Error("nothing to write");
    return batch;
  }

  test("is refused after its time, written or not, though other messages came and went", async () => {
    const { queue: waiting } = begin(400);
    const [written, queued] = [new Publisher(), new Publisher()];
    waiting.add("a", "x", undefined, written, false);
    waiting.take();
    waiting.add("a", "y", undefined, queued, false);
    const startedMs = Date.now();
    const others = setInterval(() => waiting.settle(write(waiting, "b"), confirm), 10);
    await waitFor("both to be told", () => written.refusals + queued.refusals === 2);
    clearInterval(others);
    expect(Date.now() - startedMs).toBeGreaterThanOrEqual(390);
  });

  test("is refused after its time, whatever was refused before it", async () => {
    const { queue: waiting } = begin(1000);
    const [first, second] = [new Publisher(), new Publisher()];
    waiting.add("a", "x", undefined, first, false);
    const batch = waiting.take();
    await Bun.sleep(600);
    waiting.add("b", "x", undefined, second, false);
    waiting.take();
    await waitFor("the first to be told", () => first.refusals === 1);
    expect(second.refusals).toBe(0);
    if (batch !== undefined) waiting.settle(batch, confirm);
    await waitFor("the second to be told", () => second.refusals === 1);
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
    const { queue: waiting, total } = begin(60_000);
    const sender = new Publisher();
    for (const channel of ["a", "b"]) waiting.add(channel, "x", undefined, sender, true);
    const batch = waiting.take();
    if (batch !== undefined) waiting.refuse(batch, new Problem("not-confirmed", "refused"));
    await waitFor("the other one to make room", () => total.messages === 0);
    expect(sender.refusals).toBe(1);
  });

  test.each([
    ["goes soon", "are", 0, false],
    ["stays for a while", "are not", MANY, true],
  ])("%s from memory where %s many channels beyond those that are followed", async (_, _are, followed, stays) => {
    const { queue: waiting } = begin(60_000, followed);
    const first = write(waiting, "a");
    waiting.settle(first, confirm);
    for (let index = 0; index < MANY; index += 1) waiting.settle(write(waiting, `other ${index}`), confirm);
    await Bun.sleep(500);
    expect(write(waiting, "a").queue === first.queue).toBe(stays);
  });
});
