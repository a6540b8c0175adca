import type { Machine } from "./machine.ts";
import { OTHER_FILES } from "./measure.ts";
import { MESSAGE_BYTES, type Workload } from "./workloads.ts";

/** How a cost grows with one thing, everything else staying as it is. */
export interface Sweep {
  readonly name: string;
  readonly title: string;
  readonly steps: readonly number[];
  /** Whether a step is a number of connections, which the limit on open files bounds. */
  readonly opensFiles: boolean;
  /** Whether it needs a bus between processes. */
  readonly needsRedis: boolean;
  workload(step: number): Omit<Workload, "name" | "title" | "shows">;
}

const IN_FLIGHT = 100;
export const sweeps: readonly Sweep[] = [
  {
    name: "channels",
    title: `channels of one connection each, ${IN_FLIGHT} messages in flight in all`,
    steps: [1, 10, 100, 1000, 10_000, 100_000],
    opensFiles: true,
    needsRedis: false,
    workload: (channels) => {
      const active = Math.min(channels, IN_FLIGHT);
      return { channels, subscribers: 1, window: IN_FLIGHT / active, active, bytes: MESSAGE_BYTES };
    },
  },
  {
    name: "subscribers",
    title: "subscribers of one channel, 1 message in flight",
    steps: [1, 10, 100, 1000, 10_000, 20_000],
    opensFiles: true,
    needsRedis: false,
    workload: (subscribers) => ({ channels: 1, subscribers, window: 1, active: 1, bytes: MESSAGE_BYTES }),
  },
  {
    name: "size",
    title: "bytes in a message, to 100 subscribers of one channel, 4 in flight",
    steps: [16, 128, 1024, 8192, 65_536],
    opensFiles: false,
    needsRedis: false,
    workload: (bytes) => ({ channels: 1, subscribers: 100, window: 4, active: 1, bytes }),
  },
  {
    name: "instances",
    title: "instances on one Redis and one core, 1000 connections on 20 channels, 1 in flight on each",
    steps: [1, 2, 3, 4],
    opensFiles: false,
    needsRedis: true,
    workload: (instances) => ({ channels: 20, subscribers: 50, window: 1, active: 20, bytes: MESSAGE_BYTES, instances }),
  },
];

/** The steps of a sweep that this machine can do, and what has to be said of the others. */
export function stepsOf(sweep: Sweep, { maxFiles }: Machine): { workloads: Workload[]; notes: string[] } {
  const notes: string[] = [];
  const steps: number[] = [];
  const most = Math.floor((maxFiles - OTHER_FILES) / 1000) * 1000;
  for (const step of sweep.steps) {
    if (!sweep.opensFiles || step <= maxFiles - OTHER_FILES) {
      steps.push(step);
      continue;
    }
    const fits = most > (steps.at(-1) ?? 0);
    const instead = fits ? `${grouped(most)} are measured instead` : "it is left out";
    notes.push(
      `${grouped(step)} ${sweep.name} take more open files than the ${grouped(maxFiles)} that a process may have here: ${instead}`,
    );
    if (fits) steps.push(most);
  }
  return { workloads: steps.map((step) => workloadOf(sweep, step)), notes };
}

function workloadOf(sweep: Sweep, step: number): Workload {
  return { name: `${sweep.name}-${step}`, title: grouped(step), shows: "deliveries", ...sweep.workload(step) };
}

function grouped(value: number): string {
  return value.toLocaleString("en-US");
}
