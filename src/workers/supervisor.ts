import type { Config } from "../config/config.ts";
import type { ConfigFile } from "../config/sources.ts";
import { fixedDifferences } from "../http/rules.ts";
import type { Siblings } from "../http/context.ts";
import type { Log } from "../log.ts";
import { WorkerSlot } from "./worker-slot.ts";
import { takePort, type SharedPort } from "./port.ts";
import { Totals } from "./totals.ts";

/** The bound on a worker's answer. */
const ANSWER_BOUND_MS = 1000;
const TICK_MS = 1000;
/** The time that a worker may take to end, beyond its drain. */
const GRACE_MS = 2000;
/** A tick with more delay than this means that this process, or the machine, stood still. */
const LATE_MS = 500;

export interface SupervisorOptions {
  readonly config: Config;
  /** The file of the configuration. */
  readonly file: ConfigFile;
  readonly log: Log;
  /** Writes whole lines of the workers' logs. */
  readonly write: (lines: string) => void;
  /** A terminal shows them. */
  readonly coloured: boolean;
}

interface Listening {
  readonly url: string;
  /** Their process ids. */
  readonly workers: readonly number[];
}

/**
 * Runs several worker processes of this program on one port. It replaces workers that die or hang, and answers for all of them when
 * one is asked for metrics or health. It has no clients itself.
 */
export class Supervisor {
  /** Resolves once all workers accept clients. If one cannot, it rejects after all have ended. */
  readonly listening: Promise<Listening>;
  readonly #config: Config;
  readonly #port: SharedPort;
  readonly #slots: readonly WorkerSlot[];
  readonly #totals = new Totals();
  readonly #timer = setInterval(() => this.#tick(), TICK_MS);
  #file: ConfigFile;
  #drainTimeoutMs: number;
  #lastTickMs = performance.now();
  #drained: Promise<void> | undefined;

  private constructor({ config, file, log, write, coloured }: SupervisorOptions, port: SharedPort) {
    this.#config = config;
    this.#file = file;
    this.#drainTimeoutMs = config.drainTimeoutMs;
    this.#port = port;
    const siblings: Siblings = {
      metrics: shared(() => this.#read()),
      live: shared(() => this.#all(async ({ server }) => (await server?.turns(ANSWER_BOUND_MS)) ?? true)),
      ready: shared(() => this.#all(async ({ server }) => (await server?.ready(ANSWER_BOUND_MS)) ?? false)),
    };
    this.#slots = Array.from(
      { length: config.workers },
      (_, index) =>
        new WorkerSlot({
          number: index + 1,
          log,
          write,
          assignment: () => ({ port: port.port, coloured, firstFile: file, currentFile: this.#file }),
          siblings,
          onEnded: (lasting) => this.#totals.keep(lasting),
          onRestarted: () => this.#totals.restarted(),
        }),
    );
    this.listening = this.#listen();
  }

  /** Starts the workers. @throws the system's error, with its `code`, if the port is taken or not allowed */
  static async open(options: SupervisorOptions): Promise<Supervisor> {
    return new Supervisor(options, await takePort(options.config));
  }

  /** Reloads all workers, those to come included. Returns the changed settings that need a restart. */
  async reload(config: Config, file: ConfigFile): Promise<string[]> {
    this.#file = file;
    this.#drainTimeoutMs = config.drainTimeoutMs;
    await Promise.all(this.#slots.map((slot) => slot.reload(file)));
    return fixedDifferences(this.#config, config);
  }

  /** Drains all workers and starts no others. Resolves once all have ended. */
  drain(): Promise<void> {
    return (this.#drained ??= this.#close());
  }

  async #listen(): Promise<Listening> {
    try {
      const [url = ""] = await Promise.all(this.#slots.map(({ opened }) => opened));
      return { url, workers: this.#slots.flatMap(({ pid = [] }) => pid) };
    } catch (error) {
      await this.drain();
      throw error;
    }
  }

  async #close(): Promise<void> {
    // The drain timeout applies once to the bus, and once to the clients.
    const boundMs = 2 * this.#drainTimeoutMs + GRACE_MS;
    await Promise.all(this.#slots.map((slot) => slot.close(boundMs)));
    clearInterval(this.#timer);
    this.#port.release();
  }

  async #all(ask: (slot: WorkerSlot) => Promise<boolean>): Promise<boolean> {
    return (await Promise.all(this.#slots.map(ask))).every(Boolean);
  }

  async #read(): Promise<string> {
    const asked = this.#slots.flatMap(({ server }) => (server === undefined ? [] : [server]));
    const passing = new Map(await Promise.all(asked.map(async (worker) => [worker, await worker.read(ANSWER_BOUND_MS)] as const)));
    const answered = [...passing.values()].filter((gauges) => gauges !== undefined).length;
    return this.#totals.text(answered, () =>
      this.#slots.flatMap(({ server }) => (server === undefined ? [] : [{ lasting: server.lasting, passing: passing.get(server) }])),
    );
  }

  #tick(): void {
    const nowMs = performance.now();
    const onTime = nowMs - this.#lastTickMs < TICK_MS + LATE_MS;
    this.#lastTickMs = nowMs;
    for (const slot of this.#slots) slot.tick(onTime);
  }
}

/** Shares one answer among all callers that wait for it, so that nobody can make the workers answer at any rate they like. */
function shared<T>(ask: () => Promise<T>): () => Promise<T> {
  let running: Promise<T> | undefined;
  return () => {
    running ??= ask().finally(() => (running = undefined));
    return running;
  };
}
