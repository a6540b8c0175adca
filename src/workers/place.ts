import type { ConfigFile } from "../config/file.ts";
import type { Siblings } from "../http/context.ts";
import { describeError, type Log } from "../log.ts";
import type { Order } from "./orders.ts";
import { WorkerProcess } from "./worker-process.ts";

const FIRST_DELAY_MS = 100;
const LONGEST_DELAY_MS = 10_000;
/** One that has lived for so long begins anew with the shortest delay. */
const STEADY_MS = 30_000;
/** What a person at a terminal sends to all processes at once: no fault of the one that has not learnt to heed it yet. */
const OF_TERMINALS: ReadonlySet<unknown> = new Set(["SIGINT", "SIGTERM", "SIGHUP"]);

export interface PlaceOptions {
  readonly number: number;
  readonly log: Log;
  readonly write: (lines: string) => void;
  /** What a process that asks now goes by. */
  readonly order: () => Omit<Order, "number">;
  readonly siblings: Siblings;
  /** A process has ended, having counted this. */
  readonly onEnded: (lasting: readonly object[]) => void;
  readonly onRestarted: () => void;
}

/** The place of one worker: who ends in it is followed by another, until the place is closed. */
export class Place {
  /** The url at which its first process serves; rejects with the reason where it ends before, and the place is empty then. */
  readonly opened: Promise<string>;
  readonly #options: PlaceOptions;
  readonly #first = Promise.withResolvers<string>();
  readonly #life: Promise<void>;
  #process: WorkerProcess | undefined;
  #serving = false;
  #hasServed = false;
  #reason: string | undefined;
  #closing = false;
  #wake: () => void = () => undefined;

  constructor(options: PlaceOptions) {
    this.#options = options;
    this.opened = this.#first.promise;
    this.#life = this.#live();
  }

  get pid(): number | undefined {
    return this.#process?.pid;
  }

  /** Its process, where that accepts clients. */
  get server(): WorkerProcess | undefined {
    return this.#serving ? this.#process : undefined;
  }

  reload(file: ConfigFile): Promise<void> {
    return this.#process?.reload(file) ?? Promise.resolve();
  }

  /** Is called once a second: a process that hangs is ended. `onTime` is false after a stall of the supervisor. */
  tend(onTime: boolean): void {
    if (this.#process?.isHung(onTime) !== true) return;
    this.#options.log.error("a worker does not answer and is killed", { worker: this.#options.number, pid: this.pid });
    this.#process.kill();
  }

  /** Lets its process drain, and nobody follow. Resolves once it has ended; after the bound it is killed. */
  async close(boundMs: number): Promise<void> {
    this.#closing = true;
    this.#wake();
    this.#process?.stop();
    const timer = setTimeout(() => {
      this.#options.log.error("a worker does not end and is killed", { worker: this.#options.number, pid: this.pid });
      this.#process?.kill();
    }, boundMs);
    await this.#life;
    clearTimeout(timer);
  }

  async #live(): Promise<void> {
    const { number, log } = this.#options;
    let failures = 0;
    while (!this.#closing) {
      const startedMs = performance.now();
      const { how, fault } = await this.#host();
      if (this.#closing) return;
      if (!this.#hasServed && fault) {
        this.#first.reject(new Error(this.#reason ?? `worker ${number} ended with ${how} before it served`));
        return;
      }
      if (performance.now() - startedMs >= STEADY_MS) failures = 0;
      const delayMs = Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** failures);
      failures += 1;
      log.warn("a worker ended and will be started again", { worker: number, ended: how, reason: this.#reason, delay_ms: delayMs });
      await this.#rest(delayMs);
    }
  }

  /** Has a process from its start to its end. */
  async #host(): Promise<{ how: string; fault: boolean }> {
    this.#reason = undefined;
    try {
      this.#process = new WorkerProcess({ answers: this.#answers(), write: this.#options.write });
    } catch (error) {
      this.#reason = `no process can be started: ${describeError(error)}`;
      return { how: "nothing", fault: true };
    }
    const process = this.#process;
    const how = await process.ended;
    this.#options.onEnded(process.lasting);
    this.#serving = false;
    this.#process = undefined;
    return { how, fault: !OF_TERMINALS.has(process.signal) };
  }

  #answers() {
    const { number, log, order, siblings, onRestarted } = this.#options;
    return {
      order: (): Order => ({ ...order(), number }),
      serves: (url: string): true => {
        this.#serving = true;
        if (this.#hasServed) {
          log.info("a worker was started again", { worker: number, pid: this.pid });
          onRestarted();
        }
        this.#hasServed = true;
        this.#first.resolve(url);
        return true;
      },
      fails: (reason: string): true => {
        this.#reason = reason;
        return true;
      },
      metrics: () => siblings.metrics(),
      live: () => siblings.live(),
      ready: () => siblings.ready(),
    };
  }

  #rest(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
