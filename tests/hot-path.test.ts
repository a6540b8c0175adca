import { expect, setDefaultTimeout, test } from "bun:test";
import { measure, median, targets, workloads } from "./bench/measure.ts";

setDefaultTimeout(60_000);

// A coarse guard, so that no change makes the hot path slower unseen; `bun run bench` measures.
test.each(workloads.map((workload) => [workload.name, workload] as const))(
  "%s costs at most 1.5 times the CPU of bare Bun, and loses nothing",
  async (_, workload) => {
    const ratios: number[] = [];
    for (let round = 0; round < 3; round += 1) {
      const results = [];
      for (const target of await targets()) results.push(await measure(target, workload, 0.5));
      const [lockstep, control] = results;
      expect(lockstep?.lost).toBe(0);
      ratios.push((lockstep?.cpu ?? Number.NaN) / (control?.cpu ?? Number.NaN));
    }
    expect(median(ratios)).toBeLessThan(1.5);
  },
);
