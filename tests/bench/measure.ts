import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "../support/redis.ts";
import { accepting, listening, type Child, type Children } from "./children.ts";
import { placed, type Machine } from "./machine.ts";
import type { Measured, Plan } from "./plan.ts";
import type { ServerKind } from "./servers.ts";
import type { Workload } from "./workloads.ts";

export interface Run {
  readonly seconds: number;
  readonly warmUpMs: number;
}

const LOAD = join(import.meta.dir, "load.ts");
/** Of a process, beside one for each client: a bus, a log, a listening socket, and some more. */
export const OTHER_FILES = 200;
const LAST_WORDS_MS = 500;
const HOST = "127.0.0.1";

/** Starts a server's instances (on a Redis of their own, where they need one), loads them, and ends all. Rejects with what went wrong. */
export async function measure(
  children: Children,
  { pinned: cores, used, maxFiles }: Machine,
  server: ServerKind,
  workload: Workload,
  { seconds, warmUpMs }: Run,
): Promise<Measured> {
  const connections = workload.channels * workload.subscribers;
  if (connections + OTHER_FILES > maxFiles)
    throw new Error(`${connections} connections take more open files than the ${maxFiles} of this machine`);
  const folder = mkdtempSync(join(tmpdir(), "lockstep-bench-"));
  const started: Child[] = [];
  const start = (command: readonly string[], core: number | undefined, env?: Readonly<Record<string, string>>): Child => {
    const child = children.start(placed(command, core), env);
    started.push(child);
    return child;
  };
  try {
    const env: Record<string, string> = { PORT: "0", HOST: "0.0.0.0", LOG_LEVEL: "info" };
    const redis: Child[] = [];
    if (server.needsRedis) {
      const port = await freePort();
      const words = ["--port", String(port), "--bind", HOST, "--save", "", "--appendonly", "no", "--dir", folder];
      const child = start(["redis-server", ...words], cores?.load);
      await accepting(child, port);
      redis.push(child);
      env["REDIS_URL"] = `redis://${HOST}:${port}`;
    }
    const command = await server.command();
    const servers = Array.from({ length: workload.instances ?? 1 }, () => start(command, cores?.server, env));
    const ports = await Promise.all(servers.map(listening));
    const plan: Plan = {
      ...workload,
      ports,
      envelope: server.envelope,
      warmUpMs,
      seconds,
      serverPids: servers.map(({ pid }) => pid),
      redisPids: redis.map(({ pid }) => pid),
      cores: used,
    };
    const load = start([process.execPath, LOAD, JSON.stringify(plan)], cores?.load);
    await load.ended();
    return await answerOf(load, servers, redis);
  } finally {
    await Promise.all(started.map((child) => children.end(child)));
    rmSync(folder, { recursive: true, force: true });
  }
}

async function answerOf(load: Child, servers: readonly Child[], redis: readonly Child[]): Promise<Measured> {
  const answer: Measured | { fault: string } | undefined = load.output === "" ? undefined : JSON.parse(load.output);
  // The load hears of it before the server's end is known.
  if (answer === undefined || "fault" in answer) await Promise.race([...servers.map((server) => server.ended()), Bun.sleep(LAST_WORDS_MS)]);
  for (const server of servers.filter(({ hasEnded }) => hasEnded)) {
    await server.ended();
    throw new Error(`the server died (${server.epitaph})`);
  }
  for (const one of redis.filter(({ hasEnded }) => hasEnded)) {
    await one.ended();
    throw new Error(`Redis died (${one.epitaph})`);
  }
  if (answer === undefined) throw new Error(`the load ended without an answer (${load.epitaph})`);
  if ("fault" in answer) throw new Error(answer.fault);
  return answer;
}
