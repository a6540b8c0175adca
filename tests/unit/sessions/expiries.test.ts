import { expect, spyOn, test } from "bun:test";
import { Expiries, type Expiring } from "../../../src/sessions/expiries.ts";
import { waitFor, whileNothingHappens } from "../../support/wait.ts";

const DAY_MS = 86_400_000;

/** Something that ends then, and how often it was told. */
function clientOf(expiresMs = Number.POSITIVE_INFINITY): Expiring & { told: number } {
  return {
    expiresMs,
    told: 0,
    expire(): void {
      this.told += 1;
    },
  };
}

test("tokens expire one after the other, in the second that they name, whoever came first", async () => {
  const expiries = new Expiries();
  const nowMs = Math.floor(Date.now() / 1000) * 1000;
  const [far, late, early, same, gone, never] = [40 * DAY_MS, 3000, 2000, 2000, 2000, undefined].map((inMs) =>
    clientOf(inMs === undefined ? undefined : nowMs + inMs),
  );
  const all = [far, late, early, same, gone, never].filter((one) => one !== undefined);
  for (const client of all) expiries.add(client);
  if (gone !== undefined) expiries.remove(gone);
  await waitFor("the early ones", () => early?.told === 1);
  expect(Date.now()).toBeGreaterThanOrEqual(nowMs + 2000);
  expect([same?.told, late?.told]).toEqual([1, 0]);
  await waitFor("the late one", () => late?.told === 1);
  expect(Date.now()).toBeGreaterThanOrEqual(nowMs + 3000);
  expect([far?.told, gone?.told, never?.told]).toEqual([0, 0, 0]);
  expiries.close();
});

test("one that comes after another has expired, or before it, is waited for all the same", async () => {
  const expiries = new Expiries();
  const nowMs = Math.floor(Date.now() / 1000) * 1000;
  const [late, early] = [clientOf(nowMs + 3000), clientOf(nowMs + 1000)];
  expiries.add(late);
  expiries.add(early);
  await waitFor("the early one", () => early.told === 1);
  expiries.remove(late);
  const next = clientOf(Date.now() + 500);
  expiries.add(next);
  await waitFor("the next one", () => next.told === 1);
  expiries.close();
});

test("a token of many days is not taken for one of none, and nothing is kept of who has left", async () => {
  const timers = spyOn(globalThis, "setTimeout");
  const expiries = new Expiries();
  const client = clientOf(Date.now() + 300 * DAY_MS);
  expiries.add(client);
  expect(timers.mock.calls.map(([, ms]) => ms)).toEqual([2 ** 31 - 1]);
  timers.mockRestore();
  await whileNothingHappens(50);
  expect(client.told).toBe(0);
  for (let index = 0; index < 1000; index += 1) {
    const passing = clientOf(Date.now() + index * 1000 + DAY_MS);
    expiries.add(passing);
    expiries.remove(passing);
  }
  expiries.remove(client);
  expect(expiries.size).toBe(0);
  expiries.close();
});

test("after the end nothing is waited for", async () => {
  const expiries = new Expiries();
  expiries.close();
  const client = clientOf(Date.now() + 10);
  expiries.add(client);
  await whileNothingHappens(1100);
  expect(client.told).toBe(0);
});
