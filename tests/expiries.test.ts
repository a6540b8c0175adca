import { expect, spyOn, test } from "bun:test";
import { ANONYMOUS, type Principal } from "../src/access/principal.ts";
import type { Client } from "../src/sessions/registry.ts";
import { Expiries } from "../src/sessions/expiries.ts";
import { waitFor, whileNothingHappens } from "./support/wait.ts";

const DAY_MS = 86_400_000;

/** A client whose token expires then, and what was said to it. */
function clientOf(expiresMs: number | undefined): Client & { readonly told: string[] } {
  const told: string[] = [];
  const principal: Principal =
    expiresMs === undefined ? ANONYMOUS : { by: "token", verifier: {}, subject: null, expiresMs, subscribe: [], publish: [] };
  const nothing = (): void => undefined;
  return {
    place: -1,
    guest: { address: "", principal },
    told,
    retire: (fault) => told.push(fault),
    reconsider: nothing,
    mute: nothing,
    terminate: nothing,
    tend: nothing,
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
  await waitFor("the early ones", () => early?.told.length === 1);
  expect(Date.now()).toBeGreaterThanOrEqual(nowMs + 2000);
  expect([same?.told, late?.told]).toEqual([["token-expired"], []]);
  await waitFor("the late one", () => late?.told.length === 1);
  expect(Date.now()).toBeGreaterThanOrEqual(nowMs + 3000);
  expect([far?.told, gone?.told, never?.told]).toEqual([[], [], []]);
  expiries.close();
});

test("one that comes after another has expired, or before it, is waited for all the same", async () => {
  const expiries = new Expiries();
  const nowMs = Math.floor(Date.now() / 1000) * 1000;
  const [late, early] = [clientOf(nowMs + 3000), clientOf(nowMs + 1000)];
  expiries.add(late);
  expiries.add(early);
  await waitFor("the early one", () => early.told.length === 1);
  expiries.remove(late);
  const next = clientOf(Date.now() + 500);
  expiries.add(next);
  await waitFor("the next one", () => next.told.length === 1, 3000);
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
  expect(client.told).toEqual([]);
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
  expect(client.told).toEqual([]);
});
