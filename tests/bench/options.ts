import { closeSync, openSync } from "node:fs";
import { parseArgs } from "node:util";
import { serverKinds, type ServerKind } from "./servers.ts";
import { sweeps, type Sweep } from "./scale.ts";
import { workloads, type Workload } from "./workloads.ts";

/** The words of the command line make no sense. */
export class UsageError extends Error {}

export interface Options {
  readonly action: "run" | "list" | "help";
  readonly servers: readonly ServerKind[];
  readonly workloads: readonly Workload[];
  readonly rounds: number;
  readonly seconds: number;
  readonly json: string | undefined;
  readonly svg: string | undefined;
  /** Instead of the workloads. */
  readonly sweeps: readonly Sweep[];
}

const MAX_ROUNDS = 100;
/** A load's clock ends at 2^30 microseconds. */
const MAX_SECONDS = 600;

const flags = {
  server: { type: "string", multiple: true },
  workload: { type: "string", multiple: true },
  scale: { type: "string", multiple: true },
  rounds: { type: "string" },
  seconds: { type: "string" },
  executable: { type: "string" },
  against: { type: "string" },
  json: { type: "string" },
  svg: { type: "string" },
  list: { type: "boolean", default: false },
  help: { type: "boolean", short: "h", default: false },
} as const;

/** What a run takes where nothing is said: some fifteen minutes. */
const usual = { rounds: "3", seconds: "2" };
/** And a sweep, which is about the shape of a curve: two minutes each. */
const sweeping = { rounds: "1", seconds: "1", servers: ["lockstep-redis"] };

export const HELP = `The benchmark: Lockstep beside bare Bun.serve and other servers, on this machine.

  bun run bench [--server NAME]... [--workload NAME]... [--rounds N] [--seconds N] [--json FILE] [--svg FILE] [--executable FILE]
  bun run bench --against FILE [--workload NAME]... [--rounds N] [--seconds N]
  bun run bench --scale ${sweeps.map(({ name }) => name).join("|")} [--server NAME]... [--rounds N] [--seconds N] [--json FILE]

  --server NAME      one of these servers, and no other; may be repeated
  --workload NAME    one of these workloads, and no other; may be repeated
  --scale NAME       instead of the workloads: how the cost grows with one thing; may be repeated
  --rounds N         how often everything is measured, servers taking turns; medians are printed (${usual.rounds}; ${sweeping.rounds} with --scale)
  --seconds N        how long each is measured, after half as long again to warm up, 3 s at most (${usual.seconds}; ${sweeping.seconds} with --scale)
  --json FILE        writes everything as JSON, each round of it
  --svg FILE         writes a plot
  --executable FILE  another executable of Lockstep than the one of this tree, which is built first
  --against FILE     an earlier build, which each of Lockstep's servers takes turns with and is compared to
  --list             names the servers, workloads and sweeps
  --help             this

Exit codes: 0 done, 1 Lockstep lost, doubled or reordered something, closed a client or died, 2 the flags are wrong, 130 interrupted.
`;

/** @throws UsageError */
export function parseOptions(words: readonly string[]): Options {
  const { values } = parse(words);
  const defaults = values.scale === undefined ? { ...usual, servers: undefined } : sweeping;
  const kinds = serverKinds(values.executable, values.against);
  const options: Options = {
    action: values.help ? "help" : values.list ? "list" : "run",
    servers: chosen("server", kinds, values.server ?? (values.list ? undefined : (defaults.servers ?? comparedOf(values.against, kinds)))),
    workloads: chosen("workload", workloads, values.workload),
    sweeps: values.scale === undefined ? [] : chosen("scale", sweeps, values.scale),
    rounds: numberOf("rounds", values.rounds ?? defaults.rounds, { min: 1, max: MAX_ROUNDS, whole: true }),
    seconds: numberOf("seconds", values.seconds ?? defaults.seconds, { min: 0.1, max: MAX_SECONDS, whole: false }),
    json: values.json,
    svg: values.svg,
  };
  for (const flag of ["executable", "against"] as const) {
    const file = values[flag];
    if (file !== undefined && Bun.which(file) === null)
      throw new UsageError(`--${flag} takes a file that can be run, and ${JSON.stringify(file)} is none`);
  }
  expectTogether(options, values.workload !== undefined);
  for (const flag of ["json", "svg"] as const) expectWritable(flag, values[flag]);
  return options;
}

/** With another build the question is what changed: only Lockstep's servers are measured. */
function comparedOf(against: string | undefined, kinds: readonly ServerKind[]): string[] | undefined {
  return against === undefined ? undefined : kinds.flatMap(({ name }) => (name.startsWith("lockstep") ? name : []));
}

/** What cannot be asked for at once. */
function expectTogether({ sweeps: asked, servers, svg }: Options, hasWorkloads: boolean): void {
  if (asked.length === 0) return;
  if (hasWorkloads) throw new UsageError("--scale stands instead of --workload, not beside it");
  if (svg !== undefined) throw new UsageError("--svg draws workloads, and --scale has none; --json takes both");
  const bridged = asked.find(({ needsRedis }) => needsRedis);
  const alone = servers.find(({ needsRedis }) => !needsRedis);
  if (bridged !== undefined && alone !== undefined)
    throw new UsageError(`--scale ${bridged.name} takes servers that meet on Redis, and ${alone.name} stands alone`);
}

function parse(words: readonly string[]) {
  try {
    return parseArgs({ args: joined(words), options: flags, allowPositionals: false });
  } catch (error) {
    const [first = ""] = (error instanceof Error ? error.message : String(error)).split(/\.? To specify|\n/);
    throw new UsageError(
      `${first}; the flags are ${Object.keys(flags)
        .map((flag) => `--${flag}`)
        .join(", ")}`,
    );
  }
}

/** A value that begins with a minus belongs to the flag before it: it is refused as a value, not as a flag. */
function joined(words: readonly string[]): string[] {
  const list: string[] = [];
  for (const word of words) {
    const before = list.at(-1) ?? "";
    if (/^-[0-9.]/.test(word) && /^--(?:rounds|seconds)$/.test(before)) list[list.length - 1] = `${before}=${word}`;
    else list.push(word);
  }
  return list;
}

function chosen<T extends { readonly name: string }>(flag: string, all: readonly T[], names: readonly string[] | undefined): readonly T[] {
  const stranger = names?.find((name) => !all.some((one) => one.name === name));
  if (stranger !== undefined)
    throw new UsageError(`--${flag} takes one of ${all.map(({ name }) => name).join(", ")}, not ${JSON.stringify(stranger)}`);
  return names === undefined ? all : all.filter(({ name }) => names.includes(name));
}

function numberOf(flag: string, text: string, { min, max, whole }: { min: number; max: number; whole: boolean }): number {
  const value = text.trim() === "" ? Number.NaN : Number(text);
  if (!(value >= min && value <= max) || (whole && !Number.isInteger(value)))
    throw new UsageError(`--${flag} takes a ${whole ? "whole " : ""}number from ${min} to ${max}, not ${JSON.stringify(text)}`);
  return value;
}

/** Found out before the run, not after it. */
function expectWritable(flag: string, file: string | undefined): void {
  if (file === undefined) return;
  try {
    closeSync(openSync(file, "a"));
  } catch (error) {
    throw new UsageError(`--${flag} takes a file that can be written: ${error instanceof Error ? error.message : String(error)}`);
  }
}
