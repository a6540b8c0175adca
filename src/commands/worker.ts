import { loadConfig } from "../config/config.ts";
import { keepFixed } from "../http/rules.ts";
import type { Siblings } from "../http/context.ts";
import { Log } from "../log.ts";
import { createServer, type LockstepServer } from "../server.ts";
import { Line } from "../workers/line.ts";
import type { Order, SupervisorAnswers, WorkerAnswers } from "../workers/orders.ts";
import { listenFault } from "../workers/port.ts";
import { UsageError } from "../usage-error.ts";
import { expectWords } from "./words.ts";

/** How long the supervisor may take to answer for all: longer than it gives to each worker. */
const SUPERVISOR_BOUND_MS = 1500;

/** One of the processes that share a port: until SIGTERM, SIGINT or the end of its supervisor, which alone says this word. */
export async function worker(words: readonly string[]): Promise<number> {
  expectWords(words, 0, "worker takes no words");
  const send = process.send?.bind(process);
  if (send === undefined) throw new UsageError("worker is what the server calls its own processes; WORKERS=N starts N of them");
  // A terminal sends SIGINT and SIGHUP to all processes at once, so that they may come beside what the supervisor says.
  const stopped = new Promise<string>((resolve) => {
    for (const signal of ["SIGTERM", "SIGINT"]) process.on(signal, () => resolve(signal));
    process.on("disconnect", () => resolve("the supervisor is gone"));
  });
  process.on("SIGHUP", () => undefined);
  process.stdout.on("error", () => undefined);

  let server: LockstepServer | undefined;
  const started = Promise.withResolvers<void>();
  const own: WorkerAnswers = {
    reload: async (file) => {
      await started.promise;
      server?.reload(loadConfig(process.env, file));
      return true;
    },
    beat: () => server?.readLasting() ?? Promise.resolve([]),
    read: () => server?.read() ?? Promise.resolve({ lasting: [], passing: [] }),
    ready: () => server?.ready() ?? false,
  };
  const line = new Line<SupervisorAnswers>((message) => send(message), own);
  process.on("message", (message) => line.receive(message));
  process.on("disconnect", () => line.close());
  try {
    const order = await Promise.race([line.ask("order", undefined), stopped.then(() => undefined)]);
    if (order === undefined) return 0;
    const { config, log } = understand(order);
    server = await createServer(config, log, siblingsBehind(line)).catch((error: unknown) => {
      throw new ServingFault(listenFault(config, error));
    });
    started.resolve();
    void line.ask("serves", server.url);
    const signal = await stopped;
    log.info("draining", { signal });
    await server.drain();
    log.info("stopped");
    return 0;
  } catch (error) {
    if (!(error instanceof ServingFault)) throw error;
    await line.ask("fails", error.message);
    return 1;
  } finally {
    // It would keep the process alive.
    if (process.connected) process.disconnect?.();
  }
}

/** Nobody can be served, for a reason that is told to the supervisor. */
class ServingFault extends Error {}

function understand({ number, port, coloured, first, now }: Order) {
  const config = { ...keepFixed(loadConfig(process.env, first), loadConfig(process.env, now)), port };
  const log = new Log(config.logLevel, config.logFormat, (line) => process.stdout.write(line), { worker: number }, coloured);
  return { config, log };
}

/** The others, as the supervisor knows them. */
function siblingsBehind(line: Line<SupervisorAnswers>): Siblings {
  return {
    metrics: () => line.ask("metrics", undefined, SUPERVISOR_BOUND_MS),
    live: async () => (await line.ask("live", undefined, SUPERVISOR_BOUND_MS)) ?? false,
    ready: async () => (await line.ask("ready", undefined, SUPERVISOR_BOUND_MS)) ?? false,
  };
}
