import { afterAll, expect, setDefaultTimeout, test } from "bun:test";
import { Children } from "../bench/children.ts";
import { describeFaults } from "../bench/report.ts";
import { describeMachine } from "../bench/machine.ts";
import { measure } from "../bench/measure.ts";
import { median } from "../bench/median.ts";
import { serverKinds } from "../bench/servers.ts";
import { workloads } from "../bench/workloads.ts";

setDefaultTimeout(60_000);

const children = new Children();
afterAll(() => children.endAll());

const kinds = serverKinds();
const lockstep = kinds.find(({ name }) => name === "lockstep");
const control = kinds.find(({ name }) => name === "bun");
const guarded = workloads.filter(({ name }) => ["fan-out", "fan-out-32", "echo"].includes(name));

// A coarse guard, so that no change makes the hot path slower unseen; `bun run bench` measures.
test.each(guarded.map((workload) => [workload.title, workload] as const))(
  "%s: it costs at most 1.5 times the CPU of bare Bun, and loses nothing",
  async (_, workload) => {
    if (lockstep === undefined || control === undefined) throw new Error("the bench has lost its servers");
    const machine = describeMachine();
    const ratios: number[] = [];
    for (let round = 0; round < 3; round += 1) {
      const cpus: number[] = [];
      for (const server of [lockstep, control]) {
        const measured = await measure(children, machine, server, workload, { seconds: 0.4, warmUpMs: 1000 });
        expect(describeFaults(measured.faults)).toBe("");
        cpus.push(measured.serverCpuUs / measured.deliveries);
      }
      const [ours = Number.NaN, theirs = Number.NaN] = cpus;
      ratios.push(ours / theirs);
    }
    expect(median(ratios)).toBeLessThan(1.5);
  },
);
