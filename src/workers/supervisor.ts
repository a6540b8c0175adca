import type { Config } from "../config/config.ts";
import type { ConfigFile } from "../config/file.ts";
import { fixedDifferences } from "../http/rules.ts";
import type { Siblings } from "../http/context.ts";
import type { Log } from "../log.ts";
import { Place } from "./place.ts";
import { takePort, type SharedPort } from "./port.ts";
import { Totals } from "./totals.ts";

/** How long a worker may take to answer what somebody asks of all. */
const ANSWER_BOUND_MS = 1000;
const TURN_MS = 1000;
/** How much longer than its drain a worker may take to end. */
const GRACE_MS = 2000;
/** A turn that comes later than this tells of a stall of this process, or of the machine. */
const LATE_MS = 500;

export interface SupervisorOptions {
  readonly config: Config;
  /** What the configuration was read from. */
  readonly file: ConfigFile;
  readonly log: Log;
  /** Writes whole lines of the workers' logs. */
  readonly write: (lines: string) => void;
  /** Whether a terminal shows them. */
  readonly coloured: boolean;
}

interface Listening {
  readonly url: string;
  /** Their process ids. */
  readonly workers: readonly number[];
}

/**
 * Starts as many processes of the same program as the configuration says, on one port, and keeps them: who dies or hangs is followed
 * by another, and what one is asked of all is answered here. It has no clients itself.
 */
export class Supervisor {
  /** Where clients are accepted, once all workers do so. Rejects, when all have ended, where one cannot. */
  readonly listening: Promise<Listening>;
  readonly #config: Config;
  readonly #port: SharedPort;
  readonly #places: readonly Place[];
  readonly #totals = new Totals();
  readonly #timer = setInterval(() => this.#turn(), TURN_MS);
  #now: ConfigFile;
  #drainTimeoutMs: number;
  #lastTurnMs = performance.now();
  #drained: Promise<void> | undefined;

  private constructor({ config, file, log, write, coloured }: SupervisorOptions, port: SharedPort) {
    this.#config = config;
    this.#now = file;
    this.#drainTimeoutMs = config.drainTimeoutMs;
    this.#port = port;
    const siblings: Siblings = {
      metrics: shared(() => this.#read()),
      live: shared(() => this.#all(async ({ server }) => (await server?.turns(ANSWER_BOUND_MS)) ?? true)),
      ready: shared(() => this.#all(async ({ server }) => (await server?.ready(ANSWER_BOUND_MS)) ?? false)),
    };
    this.#places = Array.from(
      { length: config.workers },
      (_, index) =>
        new Place({
          number: index + 1,
          log,
          write,
          order: () => ({ port: port.port, coloured, first: file, now: this.#now }),
          siblings,
          onEnded: (lasting) => this.#totals.bury(lasting),
          onRestarted: () => this.#totals.restarted(),
        }),
    );
    this.listening = this.#listen();
  }

  /** @throws the system's error, with its `code`, where the port cannot be had */
  static async open(options: SupervisorOptions): Promise<Supervisor> {
    return new Supervisor(options, await takePort(options.config));
  }

  /** All workers go by another configuration, and those that are to come. Returns the settings that differ and need a restart. */
  async reload(config: Config, file: ConfigFile): Promise<string[]> {
    this.#now = file;
    this.#drainTimeoutMs = config.drainTimeoutMs;
    await Promise.all(this.#places.map((place) => place.reload(file)));
    return fixedDifferences(this.#config, config);
  }

  /** Lets all workers drain, and nobody follow. Resolves once all have ended. */
  drain(): Promise<void> {
    return (this.#drained ??= this.#close());
  }

  async #listen(): Promise<Listening> {
    try {
      const [url = ""] = await Promise.all(this.#places.map(({ opened }) => opened));
      return { url, workers: this.#places.flatMap(({ pid = [] }) => pid) };
    } catch (error) {
      await this.drain();
      throw error;
    }
  }

  async #close(): Promise<void> {
    // A drain takes its time-out once for the bus, and once for the clients.
    const boundMs = 2 * this.#drainTimeoutMs + GRACE_MS;
    await Promise.all(this.#places.map((place) => place.close(boundMs)));
    clearInterval(this.#timer);
    this.#port.release();
  }

  async #all(ask: (place: Place) => Promise<boolean>): Promise<boolean> {
    return (await Promise.all(this.#places.map(ask))).every(Boolean);
  }

  async #read(): Promise<string> {
    const asked = this.#places.flatMap(({ server }) => (server === undefined ? [] : [server]));
    const passing = new Map(await Promise.all(asked.map(async (worker) => [worker, await worker.read(ANSWER_BOUND_MS)] as const)));
    const answered = [...passing.values()].filter((gauges) => gauges !== undefined).length;
    return this.#totals.text(answered, () =>
      this.#places.flatMap(({ server }) => (server === undefined ? [] : [{ lasting: server.lasting, passing: passing.get(server) }])),
    );
  }

  #turn(): void {
    const nowMs = performance.now();
    const onTime = nowMs - this.#lastTurnMs < TURN_MS + LATE_MS;
    this.#lastTurnMs = nowMs;
    for (const place of this.#places) place.tend(onTime);
  }
}

/** Those who ask while an answer is on its way share it: nobody can make the workers answer more often than they do. */
function shared<T>(ask: () => Promise<T>): () => Promise<T> {
  let running: Promise<T> | undefined;
  return () => {
    running ??= ask().finally(() => (running = undefined));
    return running;
  };
}
