import { describe, expect, test } from "bun:test";
import type { Sender } from "../../../src/bus/publisher.ts";
import { OutboxTotal } from "../../../src/bus/outbox-bounds.ts";
import type { Batch } from "../../../src/bus/outbox-queue.ts";
import { Outbox } from "../../../src/bus/outbox.ts";
import { Problem } from "../../../src/errors.ts";
import { randomNumbers } from "../../support/random.ts";

const QUEUES = 4;

/** A message and what became of it. */
class Told implements Sender {
  broken = false;
  outcomes: string[] = [];
  confirmed(): void {
    this.outcomes.push("confirmed");
  }
  refused({ fault }: Problem): void {
    this.outcomes.push(fault);
  }
}

/** Both policies that the bus has, and one that it could have. */
describe.each([
  ["many batches in flight, none written again", { inFlight: "many", rewrites: false }],
  ["one batch in flight, written again", { inFlight: "one", rewrites: true }],
  ["one batch in flight, not written again", { inFlight: "one", rewrites: false }],
] as const)("an outbox with %s", (_, policy) => {
  test("notifies each sender once and keeps the order of each queue, whatever becomes of its batches", () => {
    const random = randomNumbers();
    for (let round = 0; round < 200; round += 1) {
      const total = new OutboxTotal({ publishQueue: 50, publishQueueBytes: 500, publishTimeoutMs: 60_000 });
      const outbox = new Outbox<boolean, undefined>({
        ...policy,
        total,
        maxBatch: 5,
        maxBatchBytes: 30,
        standsAlone: ({ extra }) => extra,
        route: () => undefined,
        retry: () => undefined,
        followed: () => 0,
      });
      const senders: Told[] = [];
      const unanswered: Batch<boolean, undefined>[] = [];
      /** The last message of each queue that was written for the first time, and the last one that is known to have arrived. */
      const written = new Map<string, number>();
      for (let step = 0; step < 200; step += 1) {
        const choice = random(10);
        if (choice < 5) {
          const sender = new Told();
          senders.push(sender);
          outbox.add(`queue ${random(QUEUES)}`, String(senders.length).padEnd(random(12)), random(8) === 0, sender, random(2) === 0);
        } else if (choice < 7) {
          const batch = outbox.take();
          if (batch === undefined) continue;
          expect(batch.items.length).toBeGreaterThan(0);
          expect(batch.items.length).toBeLessThanOrEqual(5);
          if (batch.items.length > 1) expect(batch.items.some(({ extra }) => extra)).toBe(false);
          const { name } = batch.queue;
          if (policy.inFlight === "one") expect(unanswered.some(({ queue }) => queue.name === name)).toBe(false);
          const numbers = batch.items.map(({ message }) => Number(message));
          expect(numbers).toEqual(numbers.toSorted((a, b) => a - b));
          // A batch that is written again is the one that was written last.
          const last = written.get(name) ?? 0;
          if (batch.repeated) expect(numbers.at(-1)).toBe(last);
          else expect(numbers[0]).toBeGreaterThan(last);
          written.set(name, numbers.at(-1) ?? 0);
          unanswered.push(batch);
        } else {
          const [batch] = unanswered.splice(random(unanswered.length || 1), 1);
          if (batch === undefined) continue;
          if (choice === 7) outbox.failed(batch);
          else if (choice === 8) outbox.refuse(batch, new Problem("not-confirmed", ""));
          else outbox.settle(batch, (sender) => sender.confirmed(null));
          if (random(3) === 0) outbox.retry();
        }
      }
      expect(total.messages).toBe(senders.filter(({ outcomes }) => outcomes.length === 0).length);
      const confirm = (batch: Batch<boolean, undefined>): void => outbox.settle(batch, (sender) => sender.confirmed(null));
      if (round % 2 === 0) {
        // Answers that come after the end change nothing.
        outbox.close(new Problem("bus-away", ""));
        for (const batch of unanswered) confirm(batch);
      } else {
        // The bus answers everything: also what had failed is written.
        for (const batch of unanswered) confirm(batch);
        outbox.retry();
        for (let batch = outbox.take(); batch !== undefined; batch = outbox.take()) confirm(batch);
      }
      expect(senders.filter(({ outcomes }) => outcomes.length !== 1)).toEqual([]);
      expect([total.messages, total.bytes]).toEqual([0, 0]);
      outbox.close(new Problem("bus-away", ""));
    }
  });
});
