import type { Plan } from "./plan.ts";

/** What is asked of a server. */
export interface Workload extends Omit<Plan, "ports" | "envelope" | "warmUpMs" | "seconds" | "serverPids" | "redisPids" | "cores"> {
  readonly name: string;
  readonly title: string;
  /** Which of its figures says most. */
  readonly shows: "deliveries" | "latency" | "memory";
  /** Of the server, on one Redis; 1 unless said otherwise. */
  readonly instances?: number;
}

export const MESSAGE_BYTES = 128;

const common = { active: 1, bytes: MESSAGE_BYTES, shows: "deliveries" } as const;

export const workloads: readonly Workload[] = [
  { ...common, name: "fan-out", title: "fan-out to 1000 subscribers, 1 in flight", channels: 1, subscribers: 1000, window: 1 },
  { ...common, name: "fan-out-32", title: "fan-out to 1000 subscribers, 32 in flight", channels: 1, subscribers: 1000, window: 32 },
  {
    ...common,
    name: "echo",
    title: "echo on 1000 channels, 1 in flight on each",
    channels: 1000,
    subscribers: 1,
    window: 1,
    active: 1000,
  },
  { ...common, name: "burst", title: "one publisher to 4 subscribers, 256 in flight", channels: 1, subscribers: 4, window: 256 },
  {
    ...common,
    name: "lone",
    title: "a lone message every 10 ms to one subscriber",
    channels: 1,
    subscribers: 1,
    window: 1,
    perSecond: 100,
    shows: "latency",
  },
  {
    ...common,
    name: "idle",
    title: "10,000 idle connections on one channel",
    channels: 1,
    subscribers: 10_000,
    window: 0,
    shows: "memory",
  },
];
