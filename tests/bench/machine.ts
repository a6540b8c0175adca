import { readFileSync } from "node:fs";
import { cpus, release, type } from "node:os";

/** Where the load and where the servers run; undefined where a process cannot be kept on a core of its own. */
export interface Cores {
  readonly load: number;
  readonly server: number;
}

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly kernel: string;
  readonly pinned: Cores | undefined;
  /** That the bench uses: the pinned ones, or all that it may. */
  readonly used: readonly number[];
  /** Files that a process may open: each connection is one, at either end. */
  readonly maxFiles: number;
}

/** More than the largest step of the sweeps opens. */
const WANTED_FILES = 131_072;
const RAISE_FILES = `ulimit -n ${WANTED_FILES} 2>/dev/null || ulimit -S -n "$(ulimit -H -n)"`;

export function describeMachine(): Machine {
  const allowed = allowedCores();
  const [first] = allowed;
  const last = allowed.at(-1);
  const canPin = Bun.which("taskset") !== null && first !== undefined && last !== undefined && first !== last;
  const pinned = canPin ? { load: first, server: last } : undefined;
  return {
    cpu: cpus()[0]?.model ?? "unknown",
    cores: allowed.length,
    kernel: `${type()} ${release()}`,
    pinned,
    used: pinned === undefined ? allowed : [pinned.load, pinned.server],
    maxFiles: maxFiles(),
  };
}

/** A command line that runs another one with as many files as may be, and on one core where that can be. The process keeps its id. */
export function placed(command: readonly string[], core: number | undefined): string[] {
  const pin = core === undefined ? [] : ["taskset", "-c", String(core)];
  return ["sh", "-c", `${RAISE_FILES}; exec "$@"`, "sh", ...pin, ...command];
}

function maxFiles(): number {
  const { stdout } = Bun.spawnSync(["sh", "-c", `${RAISE_FILES}; ulimit -n`]);
  const answer = Number(stdout.toString());
  return Number.isNaN(answer) ? WANTED_FILES : answer;
}

/** The cores that this process may use: in a container or under a mask these are not all, and not from 0. */
function allowedCores(): number[] {
  try {
    const list = /Cpus_allowed_list:\s+(\S+)/.exec(readFileSync("/proc/self/status", "latin1"))?.[1] ?? "";
    return list.split(",").flatMap((range) => {
      const [from = 0, to = from] = range.split("-").map(Number);
      return Array.from({ length: to - from + 1 }, (_, index) => from + index);
    });
  } catch {
    return cpus().map((_, index) => index);
  }
}
