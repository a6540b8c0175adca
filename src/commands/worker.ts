import { loadConfig } from "../config/load.ts";
import { keepFixed } from "../http/rules.ts";
import type { Siblings } from "../http/context.ts";
import { Log } from "../log.ts";
import { createServer, type LockstepServer } from "../server.ts";
import { Rpc } from "../workers/rpc.ts";
import type { Assignment, SupervisorProtocol, WorkerProtocol } from "../workers/worker-protocol.ts";
import { listenFault } from "../workers/port.ts";
import { UsageError } from "../errors.ts";
import { expectWords } from "./terminal.ts";

/** The bound on the supervisor's answer for all workers: longer than its bound for each of them. */
const SUPERVISOR_BOUND_MS = 1500;

/** `lockstep worker`: one of the processes that share a port, until SIGTERM, SIGINT or the end of its supervisor. */
export async function worker(words: readonly string[]): Promise<number> {
  expectWords(words, 0, "worker takes no arguments");
  const send = process.send?.bind(process);
  if (send === undefined) throw new UsageError("worker is for the server itself; WORKERS=N starts N workers");
  // A terminal sends SIGINT and SIGHUP to all processes at once; the supervisor handles SIGHUP for all.
  const stopped = new Promise<string>((resolve) => {
    for (const signal of ["SIGTERM", "SIGINT"]) process.on(signal, () => resolve(signal));
    process.on("disconnect", () => resolve("the supervisor is gone"));
  });
  process.on("SIGHUP", () => undefined);
  process.stdout.on("error", () => undefined);

  let server: LockstepServer | undefined;
  const started = Promise.withResolvers<void>();
  const methods: WorkerProtocol = {
    reload: async (file) => {
      await started.promise;
      server?.reload(loadConfig(process.env, file));
      return true;
    },
    beat: () => server?.readLasting() ?? Promise.resolve([]),
    read: () => server?.read() ?? Promise.resolve({ lasting: [], passing: [] }),
    ready: () => server?.ready() ?? false,
  };
  const rpc = new Rpc<SupervisorProtocol>((message) => send(message), methods);
  process.on("message", (message) => rpc.receive(message));
  process.on("disconnect", () => rpc.close());
  try {
    const assignment = await Promise.race([rpc.call("assignment", undefined), stopped.then(() => undefined)]);
    if (assignment === undefined) return 0;
    const { config, log } = configure(assignment);
    server = await createServer(config, log, siblingsBehind(rpc)).catch((error: unknown) => {
      throw new ServingFault(listenFault(config, error));
    });
    started.resolve();
    void rpc.call("serves", server.url);
    const signal = await stopped;
    log.info("draining", { signal });
    await server.drain();
    log.info("stopped");
    return 0;
  } catch (error) {
    if (!(error instanceof ServingFault)) throw error;
    await rpc.call("fails", error.message);
    return 1;
  } finally {
    // An open channel keeps the process alive.
    if (process.connected) process.disconnect?.();
  }
}

/** The worker cannot serve. The message is for the supervisor. */
class ServingFault extends Error {}

function configure({ number, port, coloured, firstFile, currentFile }: Assignment) {
  const config = { ...keepFixed(loadConfig(process.env, firstFile), loadConfig(process.env, currentFile)), port };
  const log = new Log(config.logLevel, config.logFormat, (line) => process.stdout.write(line), { worker: number }, coloured);
  return { config, log };
}

/** All workers, through the supervisor. */
function siblingsBehind(rpc: Rpc<SupervisorProtocol>): Siblings {
  return {
    metrics: () => rpc.call("metrics", undefined, SUPERVISOR_BOUND_MS),
    live: async () => (await rpc.call("live", undefined, SUPERVISOR_BOUND_MS)) ?? false,
    ready: async () => (await rpc.call("ready", undefined, SUPERVISOR_BOUND_MS)) ?? false,
  };
}
