/**
 * The load: a process of its own, so that it can have a core of its own. It joins, publishes, counts and prints one line of JSON:
 * `Measured`, or `{"fault":"…"}`. The bench starts it with a `Plan` in JSON as its one argument.
 */
import { envelopes } from "./envelopes.ts";
import { joinAll } from "./joining.ts";
import { faultsOf } from "./ledger.ts";
import type { LoadClient } from "./load-client.ts";
import type { Measured, Plan } from "./plan.ts";
import { busyUs, residentBytes, usageOf, usedUs } from "./proc.ts";
import { Traffic } from "./traffic.ts";

/** After the last join, and before memory is looked at. */
const SETTLE_MS = 200;
/** What is in flight at the end has arrived, or will not. */
const QUIET_MS = 1500;

async function run(plan: Plan): Promise<Measured> {
  const envelope = envelopes[plan.envelope];
  const traffic = new Traffic(plan, envelope);
  const bytesBefore = residentBytes(plan.serverPids);
  const joinedFrom = performance.now();
  const clients = await joinAll(plan, envelope, traffic);
  const joinSeconds = (performance.now() - joinedFrom) / 1000;
  const emptied = Promise.withResolvers<never>();
  let left = clients.length;
  traffic.onClosed = () => {
    left -= 1;
    if (left === 0) emptied.reject(new Error("the server ended all connections"));
  };
  const rest = async (): Promise<Measured> => {
    await Bun.sleep(SETTLE_MS);
    if (plan.window > 0) traffic.start();
    await Bun.sleep(plan.warmUpMs);
    traffic.measure();
    const before = look(plan, traffic);
    await Bun.sleep(plan.seconds * 1000);
    const after = look(plan, traffic);
    traffic.stop();
    const bytesAfter = residentBytes(plan.serverPids);
    await settle(traffic, clients);
    const [serverCpuUs, redisCpuUs, loadCpuUs] = [
      usedUs(before.servers, after.servers),
      usedUs(before.redis, after.redis),
      usedUs(before.load, after.load),
    ];
    return {
      connections: clients.length,
      joinSeconds,
      seconds: (after.atMs - before.atMs) / 1000,
      published: after.published - before.published,
      deliveries: after.deliveries - before.deliveries,
      serverCpuUs,
      redisCpuUs,
      loadCpuUs,
      othersCpuUs: Math.max(0, after.busyUs - before.busyUs - serverCpuUs - redisCpuUs - loadCpuUs),
      p50Us: traffic.latencies.quantile(0.5),
      p99Us: traffic.latencies.quantile(0.99),
      faults: faultsOf(clients),
      bytesBefore,
      bytesAfter,
    };
  };
  return Promise.race([rest(), emptied.promise]);
}

function look({ serverPids, redisPids, cores }: Plan, { published, deliveries }: Traffic) {
  return {
    atMs: performance.now(),
    published,
    deliveries,
    servers: usageOf(serverPids),
    redis: usageOf(redisPids),
    load: usageOf([process.pid]),
    busyUs: busyUs(cores),
  };
}

/** Waits until everybody has everything, or nothing has come for a while. What is doubled may come late, so it waits a little in any case. */
async function settle(traffic: Traffic, clients: readonly LoadClient[]): Promise<void> {
  let seen = traffic.deliveries;
  let quietMs = 0;
  while (quietMs < QUIET_MS) {
    await Bun.sleep(100);
    if (faultsOf(clients).lost === 0 && traffic.deliveries === seen) return;
    quietMs = traffic.deliveries === seen ? quietMs + 100 : 0;
    seen = traffic.deliveries;
  }
}

const answer = await run(JSON.parse(process.argv[2] ?? "")).catch((error: unknown) => ({
  fault: error instanceof Error ? error.message : String(error),
}));
// The process ends with its sockets, at once.
await Bun.write(Bun.stdout, `${JSON.stringify(answer)}\n`);
process.exit(0);
