/** `bun run bench`: measures, and prints what came of it. Standard output is the report, standard error the progress. */
import { writeFileSync } from "node:fs";
import { Children, Interrupted } from "./children.ts";
import { describeMachine } from "./machine.ts";
import { HELP, parseOptions, UsageError, type Options } from "./options.ts";
import { plot } from "./plot.ts";
import { describeFaults, faultLines, sweepTable, tables, warnings } from "./report.ts";
import { runBench, type Result } from "./results.ts";
import { stepsOf, sweeps as allSweeps } from "./scale.ts";
import { header, toJson } from "./summary.ts";
import { versions } from "./versions.ts";
import type { Workload } from "./workloads.ts";

/** As a shell says that SIGINT ended a program. */
const INTERRUPTED = 130;
const children = new Children();

async function main(): Promise<number> {
  const options = parseOptions(process.argv.slice(2));
  if (options.action === "help") print(HELP);
  else if (options.action === "list") print(listing(options));
  else return run(options);
  return 0;
}

async function run(options: Options): Promise<number> {
  const machine = describeMachine();
  const missing = options.servers.flatMap((server) => {
    const reason = server.missing();
    return reason === undefined ? [] : [{ name: server.name, reason }];
  });
  const servers = options.servers.filter(({ name }) => !missing.some((one) => one.name === name));
  const command = ["bun run bench", ...process.argv.slice(2)].join(" ");
  const sweeps = options.sweeps.map((sweep) => ({ sweep, ...stepsOf(sweep, machine) }));
  const about = { command, machine, versions: versions(), missing, options, notes: sweeps.flatMap(({ notes }) => notes) };
  print(header(about));
  const measure = (workloads: readonly Workload[]): Promise<Result[]> =>
    runBench({ ...options, workloads, servers }, machine, children, (line) => process.stderr.write(`${line}\n`));
  const results: Result[] = [];
  if (sweeps.length === 0) {
    results.push(...(await measure(options.workloads)));
    print(`${faultLines(results).join("\n")}\n\n${tables(results)}`);
  }
  for (const { sweep, workloads } of sweeps) {
    const swept = await measure(workloads);
    results.push(...swept);
    print(`${sweep === options.sweeps[0] ? "" : "\n"}${faultLines(swept).join("\n")}\n\n${sweepTable(sweep, swept)}`);
  }
  print(["", ...warnings(results)].map((line) => `${line}\n`).join(""));
  if (options.json !== undefined) writeFileSync(options.json, toJson(about, results));
  if (options.svg !== undefined) writeFileSync(options.svg, plot(results));
  return results.filter(({ server }) => server.name.startsWith("lockstep")).every(isClean) ? 0 : 1;
}

function isClean({ failure, measured }: Result): boolean {
  return failure === undefined && measured.every(({ faults }) => describeFaults(faults) === "");
}

function listing({ servers, workloads }: Options): string {
  const lines = [
    "servers:",
    ...servers.map((server) => `  ${server.name.padEnd(18)}${server.about}`),
    "workloads:",
    ...workloads.map(({ name, title }) => `  ${name.padEnd(18)}${title}`),
    "sweeps:",
    ...allSweeps.map(({ name, title }) => `  ${name.padEnd(18)}${title}`),
  ];
  return `${lines.join("\n")}\n`;
}

function print(text: string): void {
  process.stdout.write(text);
}

// What runs is ended, its servers and its Redis too, and the run then ends by itself.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => void children.endAll());

main().then(
  (code) => process.exit(code),
  async (error: unknown) => {
    await children.endAll();
    if (error instanceof Interrupted) process.exit(INTERRUPTED);
    process.stderr.write(`bench: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exit(error instanceof UsageError ? 2 : 1);
  },
);
