import { closeSync, openSync } from "node:fs";
import { parseArgs } from "node:util";
import { serverKinds, type ServerKind } from "./servers.ts";
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
}

const MAX_ROUNDS = 100;
/** A load's clock ends at 2^30 microseconds. */
const MAX_SECONDS = 600;

const flags = {
  server: { type: "string", multiple: true },
  workload: { type: "string", multiple: true },
  rounds: { type: "string", default: "3" },
  seconds: { type: "string", default: "2" },
  executable: { type: "string" },
  json: { type: "string" },
  list: { type: "boolean", default: false },
  help: { type: "boolean", short: "h", default: false },
} as const;

export const HELP = `The benchmark: Lockstep beside bare Bun.serve and other servers, on this machine.

  bun run bench [--server NAME]... [--workload NAME]... [--rounds N] [--seconds N] [--json FILE] [--executable FILE]

  --server NAME      one of these servers, and no other; may be repeated
  --workload NAME    one of these workloads, and no other; may be repeated
  --rounds N         how often everything is measured, servers taking turns; medians are printed (${flags.rounds.default})
  --seconds N        how long each is measured, after half of that to warm up (${flags.seconds.default})
  --json FILE        writes everything as JSON, each round of it
  --executable FILE  another executable of Lockstep than the one of this tree, which is built first
  --list             names the servers and workloads
  --help             this

Exit codes: 0 done, 1 Lockstep lost, doubled or reordered something or died, 2 the flags are wrong.
`;

/** @throws UsageError */
export function parseOptions(words: readonly string[]): Options {
  const { values } = parse(words);
  const kinds = serverKinds(values.executable);
  if (values.executable !== undefined && Bun.which(values.executable) === null)
    throw new UsageError(`--executable takes a file that can be run, and ${JSON.stringify(values.executable)} is none`);
  expectWritable("json", values.json);
  return {
    action: values.help ? "help" : values.list ? "list" : "run",
    servers: chosen("server", kinds, values.server),
    workloads: chosen("workload", workloads, values.workload),
    rounds: numberOf("rounds", values.rounds, { min: 1, max: MAX_ROUNDS, whole: true }),
    seconds: numberOf("seconds", values.seconds, { min: 0.1, max: MAX_SECONDS, whole: false }),
    json: values.json,
  };
}

function parse(words: readonly string[]) {
  try {
    return parseArgs({ args: [...words], options: flags, allowPositionals: false });
  } catch (error) {
    const [first = ""] = (error instanceof Error ? error.message : String(error)).split(/\.? To specify|\n/);
    throw new UsageError(
      `${first}; the flags are ${Object.keys(flags)
        .map((flag) => `--${flag}`)
        .join(", ")}`,
    );
  }
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
