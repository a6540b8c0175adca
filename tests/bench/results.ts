import { Interrupted, type Children } from "./children.ts";
import { figuresOf, type Figures } from "./figures.ts";
import type { Machine } from "./machine.ts";
import { measure } from "./measure.ts";
import type { Measured } from "./plan.ts";
import type { ServerKind } from "./servers.ts";
import type { Workload } from "./workloads.ts";

/** What one server did under one workload. */
export interface Result {
  readonly server: ServerKind;
  readonly workload: Workload;
  readonly measured: Measured[];
  readonly figures: Figures[];
  /** Why there are fewer than all rounds of it. */
  failure?: string;
}

export interface Bench {
  readonly servers: readonly ServerKind[];
  readonly workloads: readonly Workload[];
  readonly rounds: number;
  readonly seconds: number;
}

/** Rounds are the outermost, so that what the machine does meanwhile meets all servers alike; every other one goes backwards. Rejects where it is interrupted. */
export async function runBench(bench: Bench, machine: Machine, children: Children, progress: (line: string) => void): Promise<Result[]> {
  const results = bench.workloads.flatMap((workload) =>
    bench.servers.map((server): Result => ({ server, workload, measured: [], figures: [] })),
  );
  const run = { seconds: bench.seconds, warmUpMs: warmUpMs(bench.seconds) };
  for (let round = 0; round < bench.rounds; round += 1) {
    for (const result of round % 2 === 0 ? results : results.toReversed()) {
      const { server, workload } = result;
      if (result.failure !== undefined) continue;
      progress(`round ${round + 1} of ${bench.rounds}: ${workload.name} on ${server.name}`);
      try {
        const measured = await measure(children, machine, server, workload, run);
        result.measured.push(measured);
        result.figures.push(figuresOf(measured, server.needsRedis));
      } catch (error) {
        if (children.isOver) throw new Interrupted();
        result.failure = `round ${round + 1}: ${error instanceof Error ? error.message : String(error)}`;
        progress(`${server.name} failed under ${workload.name}, ${result.failure}`);
      }
    }
  }
  return results;
}

/** Code is compiled while it runs: the first seconds of a server, in which that takes a core for itself, are not what it goes on with. */
export function warmUpMs(seconds: number): number {
  return Math.min(3000, seconds * 1500);
}
