import { afterEach, describe, expect, test } from "bun:test";
import type { PublishLimits, Sender } from "../../../src/bus/publisher.ts";
import { OutboxTotal } from "../../../src/bus/outbox-bounds.ts";
import type { Batch } from "../../../src/bus/outbox-queue.ts";
import { Outbox } from "../../../src/bus/outbox.ts";
import { Problem } from "../../../src/errors.ts";
import { waitFor } from "../../support/wait.ts";

const limits: PublishLimits = { publishQueue: 10, publishQueueBytes: 100, publishTimeoutMs: 60_000 };
const queues: Plain[] = [];

afterEach(() => {
  for (const queue of queues.splice(0)) queue.close(new Problem("bus-away", "the test is over"));
});

/** One queue with many batches in flight, none of which is written again: as plain messages go. */
class Plain {
  readonly total: OutboxTotal;
  readonly #outbox: Outbox<undefined, undefined>;

  constructor(all: PublishLimits) {
    this.total = new OutboxTotal(all);
    this.#outbox = new Outbox({
      total: this.total,
      inFlight: "many",
      rewrites: false,
      maxBatch: 1024,
      maxBatchBytes: 1 << 20,
      route: () => undefined,
      retry: () => undefined,
      followed: () => 0,
    });
  }

  get full(): boolean {
    return this.#outbox.isFull;
  }

  add(text: string, from: Sender, hasToWait: boolean): void {
    this.#outbox.add("", text, undefined, from, hasToWait);
  }

  take(): Batch<undefined, undefined> | undefined {
    return this.#outbox.take();
  }

  settle(batch: Batch<undefined, undefined>, failed: (index: number) => Problem | undefined): void {
    this.#outbox.settle(batch, (to, index) => {
      const problem = failed(index);
      if (problem === undefined) to.confirmed(null);
      else to.refused(problem);
    });
  }

  failed(batch: Batch<undefined, undefined>): void {
    this.#outbox.failed(batch);
  }

  empty(): Promise<void> {
    return this.#outbox.empty();
  }

  close(problem: Problem): void {
    this.#outbox.close(problem);
  }
}

function queueOf(some: Partial<PublishLimits> = {}): Plain {
  const queue = new Plain({ ...limits, ...some });
  queues.push(queue);
  return queue;
}

/** A sender that is broken by a refusal, as a WebSocket is. */
function sender(): Sender & { readonly told: string[] } {
  const told: string[] = [];
  return {
    told,
    get broken() {
      return told.some((word) => word !== "confirmed");
    },
    confirmed: () => told.push("confirmed"),
    refused: ({ fault }) => told.push(fault),
  };
}

const payloads = (queue: Plain): unknown[] | undefined => queue.take()?.items.map(({ message }) => message);

describe("the publish queue", () => {
  test("gives messages out in order and tells each sender once", () => {
    const queue = queueOf();
    const [a, b] = [sender(), sender()];
    for (const [text, from] of [
      ["1", a],
      ["2", b],
      ["3", a],
    ] as const)
      queue.add(text, from, true);
    const batch = queue.take();
    expect(batch?.items.map(({ message }) => message)).toEqual(["1", "2", "3"]);
    if (batch !== undefined) queue.settle(batch, (index) => (index === 1 ? new Problem("not-confirmed", "") : undefined));
    expect([a.told, b.told]).toEqual([["confirmed", "confirmed"], ["not-confirmed"]]);
    expect(queue.take()).toBeUndefined();
  });

  test("bounds what has to wait, in messages and in bytes, and nothing that has not", () => {
    const queue = queueOf({ publishQueue: 2 });
    const told = [1, 2, 3].map(() => sender());
    for (const one of told) queue.add("x", one, true);
    expect(told.map((one) => one.told)).toEqual([[], [], ["queue-full"]]);
    const large = sender();
    queueOf({ publishQueueBytes: 5 }).add("测试", large, true);
    expect(large.told).toEqual(["queue-full"]);
    const free = queueOf({ publishQueue: 0, publishQueueBytes: 0 });
    free.add("x", sender(), false);
    expect(payloads(free)).toEqual(["x"]);
  });

  test("bounds what is unanswered, and then what waits for it", () => {
    const queue = queueOf();
    const from = sender();
    let taken = 0;
    for (let index = 0; index < 70_000; index += 1) {
      queue.add("x", from, false);
      if (queue.full) taken += payloads(queue)?.length ?? 0;
    }
    expect(queue.total.messages).toBe(65_536);
    expect([...new Set(from.told)]).toEqual(["queue-full"]);
    const patient = queueOf({ publishQueue: 100_000, publishQueueBytes: 1_000_000 });
    for (let index = 0; index < 70_000; index += 1) patient.add("x", sender(), true);
    taken = 0;
    for (let batch = payloads(patient); batch !== undefined; batch = payloads(patient)) taken += batch.length;
    expect([taken, patient.total.messages]).toEqual([65_536, 70_000]);
  });

  test("drops what a sender still has waiting once one of its messages was refused", () => {
    const queue = queueOf();
    const [broken, other] = [sender(), sender()];
    queue.add("1", broken, true);
    const batch = queue.take();
    queue.add("2", broken, true);
    queue.add("3", other, true);
    if (batch !== undefined) queue.settle(batch, () => new Problem("not-confirmed", ""));
    expect(payloads(queue)).toEqual(["3"]);
    expect(broken.told).toEqual(["not-confirmed"]);
  });

  test("refuses after the time-out what waits and what is unanswered, each once, and a late answer is not told", async () => {
    const queue = queueOf({ publishTimeoutMs: 50 });
    const [written, waiting] = [sender(), sender()];
    queue.add("1", written, true);
    const batch = queue.take();
    queue.add("2", waiting, true);
    await waitFor("both to be told", () => written.told.length + waiting.told.length === 2);
    if (batch !== undefined) queue.settle(batch, () => undefined);
    expect([written.told, waiting.told]).toEqual([["not-confirmed"], ["bus-away"]]);
    expect(queue.take()).toBeUndefined();
    await queue.empty();
  });

  test("is empty only when nothing waits and nothing is unanswered, and refuses all when it is closed", async () => {
    const queue = queueOf();
    const [written, waiting] = [sender(), sender()];
    let empty = false;
    queue.add("1", written, true);
    const emptied = queue.empty().then(() => (empty = true));
    queue.take();
    queue.add("2", waiting, true);
    await Bun.sleep(5);
    expect(empty).toBe(false);
    queue.close(new Problem("not-confirmed", ""));
    await emptied;
    expect([written.told, waiting.told]).toEqual([["not-confirmed"], ["not-confirmed"]]);
  });
});
