import { addFaults, medians } from "./figures.ts";
import type { Machine } from "./machine.ts";
import { ratiosOf } from "./report.ts";
import type { Result } from "./results.ts";

/** What has to be known of a run to read its figures. */
export interface About {
  readonly command: string;
  readonly machine: Machine;
  readonly versions: Readonly<Record<string, string>>;
  readonly missing: readonly { readonly name: string; readonly reason: string }[];
  /** What this machine cannot do. */
  readonly notes: readonly string[];
  readonly options: { readonly rounds: number; readonly seconds: number };
}

export function header({ command, machine, versions, missing, notes, options }: About): string {
  const { cpu, cores, kernel, pinned } = machine;
  const placement =
    pinned === undefined
      ? "no process is pinned: there is one core, or no taskset, so load and server take time from each other"
      : `servers on core ${pinned.server}, load and Redis on core ${pinned.load}`;
  const lines = [
    command,
    `${cpu}, ${cores} cores, ${kernel}; ${placement}`,
    Object.entries(versions)
      .map(([name, version]) => `${name} ${version}`)
      .join(", "),
    `medians of ${options.rounds} rounds of ${options.seconds} s; Lockstep with messages_per_second = 0; loopback`,
    ...missing.map(({ name, reason }) => `${name} is left out: ${reason}`),
    ...notes,
  ];
  return `${lines.join("\n")}\n\n`;
}

/** Everything, for other programs: all rounds, their medians and the ratios. */
export function toJson(
  { command, machine, versions, missing, notes, options: { rounds, seconds } }: About,
  results: readonly Result[],
): string {
  const all = results.map((result) => ({
    server: result.server.name,
    about: result.server.about,
    workload: result.workload.name,
    title: result.workload.title,
    control: result.server.control ?? null,
    failure: result.failure ?? null,
    faults: addFaults(result.measured.map(({ faults }) => faults)),
    median: medians(result.figures),
    ratios: ratiosOf(result, results),
    rounds: result.figures,
    measured: result.measured,
  }));
  const settings = { rounds, seconds, messages_per_second: 0 };
  return `${JSON.stringify({ command, at: new Date().toISOString(), machine, versions, settings, missing, notes, results: all }, null, 2)}\n`;
}
