import { readdirSync, readFileSync } from "node:fs";

/** Linux counts a process's time in ticks, and has said a hundred a second to programs on every machine (`man 5 proc`). */
const TICK_US = 10_000;

/** What a process has used so far: its ticks, and what each of its threads has run for, which is finer. */
interface Usage {
  readonly ticksUs: number;
  readonly threadsUs: ReadonlyMap<string, number>;
}

export type Usages = readonly Usage[];

/** Linux only: elsewhere, and of a process that is gone, there is nothing to read and it counts as nothing. */
export function usageOf(pids: readonly number[]): Usages {
  return pids.map((pid) => ({ ticksUs: ticksUs(pid), threadsUs: threadsUs(pid) }));
}

/** Microseconds of CPU, user and system, between two readings of the same processes. */
export function usedUs(before: Usages, after: Usages): number {
  return after.reduce((sum, usage, index) => {
    const then = before[index] ?? { ticksUs: 0, threadsUs: new Map() };
    const coarse = usage.ticksUs - then.ticksUs;
    let fine = 0;
    for (const [thread, us] of usage.threadsUs) fine += us - (then.threadsUs.get(thread) ?? 0);
    // What a thread used that ended meanwhile is in the ticks alone.
    return sum + (Math.abs(fine - coarse) <= 2 * TICK_US ? fine : coarse);
  }, 0);
}

function ticksUs(pid: number): number {
  const stat = read(`/proc/${pid}/stat`);
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11] ?? 0) + Number(fields[12] ?? 0)) * TICK_US;
}

function threadsUs(pid: number): Map<string, number> {
  const threads = new Map<string, number>();
  for (const thread of list(`/proc/${pid}/task`)) {
    threads.set(thread, Number(read(`/proc/${pid}/task/${thread}/schedstat`).split(" ")[0]) / 1000);
  }
  return threads;
}

/** Microseconds that cores were not idle so far, for whatever reason. */
export function busyUs(cores: readonly number[]): number {
  const stat = read("/proc/stat");
  return cores.reduce((sum, core) => {
    const [user = 0, nice = 0, system = 0, , , irq = 0, softIrq = 0, steal = 0] = (
      new RegExp(`^cpu${core} (.*)$`, "m").exec(stat)?.[1] ?? ""
    )
      .split(" ")
      .map(Number);
    return sum + (user + nice + system + irq + softIrq + steal) * TICK_US;
  }, 0);
}

/** Bytes of memory that processes hold (resident). */
export function residentBytes(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + Number(/VmRSS:\s+(\d+)/.exec(read(`/proc/${pid}/status`))?.[1] ?? 0) * 1024, 0);
}

function read(file: string): string {
  try {
    return readFileSync(file, "latin1");
  } catch {
    return "";
  }
}

function list(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
