import { join } from "node:path";
import { executable } from "../support/executable.ts";
import { LoadClient } from "./load.ts";

export interface Workload {
  readonly name: string;
  readonly channels: number;
  readonly subscribers: number;
  /** Messages in flight for each channel. */
  readonly window: number;
}

export const workloads: readonly Workload[] = [
  { name: "fan-out to 500, one in flight", channels: 1, subscribers: 500, window: 1 },
  { name: "fan-out to 500, 32 in flight", channels: 1, subscribers: 500, window: 32 },
  { name: "echo on 200 channels", channels: 200, subscribers: 1, window: 1 },
];

export const MESSAGE_BYTES = 128;
const CONTROL = join(import.meta.dir, "control.ts");

export interface Target {
  readonly name: string;
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/** Lockstep, and what it is measured against. */
export async function targets(): Promise<Target[]> {
  const config = join(import.meta.dir, "bench.toml");
  return [
    { name: "lockstep", command: [await executable(), "--config", config], env: { PORT: "0", LOG_LEVEL: "info" } },
    { name: "control", command: [process.execPath, CONTROL], env: {} },
  ];
}

/** CPU microseconds that a process has used so far. Linux only. */
async function cpuMicroseconds(pid: number): Promise<number> {
  const stat = await Bun.file(`/proc/${pid}/stat`).text();
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const ticksPerSecond = 100;
  return ((Number(fields[11]) + Number(fields[12])) * 1_000_000) / ticksPerSecond;
}

/** Starts a target; both print a JSON line with the url that they listen on. */
async function start(target: Target): Promise<{ child: Bun.Subprocess; port: number }> {
  const child = Bun.spawn([...target.command], { env: { ...target.env }, stdout: "pipe", stderr: "inherit" });
  let text = "";
  for await (const part of child.stdout.pipeThrough(new TextDecoderStream())) {
    text += part;
    const url = /"url":"([^"]+)"/.exec(text)?.[1];
    if (url !== undefined) return { child, port: Number(new URL(url).port) };
  }
  throw new Error(`${target.name} did not start: ${text}`);
}

export interface Result {
  /** Deliveries a second. */
  readonly perSecond: number;
  /** Microseconds of CPU for each delivery, user and system, of the server's process alone. */
  readonly cpu: number;
  /** Deliveries that did not come. */
  readonly lost: number;
}

/** Starts a target, loads it and ends it. */
export async function measure(target: Target, workload: Workload, seconds: number): Promise<Result> {
  const { child, port } = await start(target);
  try {
    const clients: LoadClient[] = [];
    for (let channel = 0; channel < workload.channels; channel += 1) {
      for (let index = 0; index < workload.subscribers; index += 1) {
        clients.push(await LoadClient.join(port, `/ws/rooms/${channel}`, index === 0 ? workload.window : 0, MESSAGE_BYTES));
      }
    }
    for (const client of clients) client.start();
    await Bun.sleep(500);
    const counted = (): number => clients.reduce((sum, client) => sum + client.received, 0);
    const before = { cpu: await cpuMicroseconds(child.pid), count: counted(), at: performance.now() };
    await Bun.sleep(seconds * 1000);
    const count = counted() - before.count;
    const cpu = ((await cpuMicroseconds(child.pid)) - before.cpu) / count;
    const perSecond = (count * 1000) / (performance.now() - before.at);
    for (const client of clients) client.stop();
    await Bun.sleep(300);
    // Everybody on a channel has seen as much as its publisher, once all has arrived.
    const most = Math.max(...clients.map((client) => client.received));
    const lost = workload.channels > 1 ? 0 : clients.reduce((sum, client) => sum + most - client.received, 0);
    for (const client of clients) client.close();
    return { perSecond, cpu, lost };
  } finally {
    child.kill("SIGKILL");
    await child.exited;
  }
}

export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
}
