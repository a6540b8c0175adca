import type { ConfigFile } from "../config/sources.ts";
import type { Siblings } from "../http/context.ts";
import { describeError, type Log } from "../log.ts";
import type { Assignment } from "./worker-protocol.ts";
import { WorkerProcess } from "./worker-process.ts";

const FIRST_DELAY_MS = 100;
const LONGEST_DELAY_MS = 10_000;
/** After this life time of a process, the next restart has the shortest delay again. */
const STEADY_MS = 30_000;
/** A terminal sends these to all processes at once. A new process that does not handle them yet is not at fault. */
const TERMINAL_SIGNALS: ReadonlySet<unknown> = new Set(["SIGINT", "SIGTERM", "SIGHUP"]);

export interface WorkerSlotOptions {
  readonly number: number;
  readonly log: Log;
  readonly write: (lines: string) => void;
  /** The assignment for a process that starts now. */
  readonly assignment: () => Omit<Assignment, "number">;
  readonly siblings: Siblings;
  /** Receives the counters of a process that has ended. */
  readonly onEnded: (lasting: readonly object[]) => void;
  readonly onRestarted: () => void;
}

/** The slot of one worker. It starts a process, and another one whenever that ends, until the slot is closed. */
export class WorkerSlot {
  /** The url of its first process. Rejects with the reason if that ends before it serves; the slot then stays empty. */
  readonly opened: Promise<string>;
  readonly #options: WorkerSlotOptions;
  readonly #first = Promise.withResolvers<string>();
  readonly #loop: Promise<void>;
  #process: WorkerProcess | undefined;
  #serving = false;
  #hasServed = false;
  #reason: string | undefined;
  #closing = false;
  #wake: () => void = () => undefined;

  constructor(options: WorkerSlotOptions) {
    this.#options = options;
    this.opened = this.#first.promise;
    this.#loop = this.#run();
  }

  get pid(): number | undefined {
    return this.#process?.pid;
  }

  /** Its process, if that accepts clients. */
  get server(): WorkerProcess | undefined {
    return this.#serving ? this.#process : undefined;
  }

  reload(file: ConfigFile): Promise<void> {
    return this.#process?.reload(file) ?? Promise.resolve();
  }

  /** Kills a process that hangs. Must be called once a second. @param onTime false after a stall of the supervisor */
  tick(onTime: boolean): void {
    if (this.#process?.isHung(onTime) !== true) return;
    this.#options.log.error("a worker does not answer and is killed", { worker: this.#options.number, pid: this.pid });
    this.#process.kill();
  }

  /** Drains its process and starts no other. Kills the process after the bound. Resolves once it has ended. */
  async close(boundMs: number): Promise<void> {
    this.#closing = true;
    this.#wake();
    this.#process?.stop();
    const timer = setTimeout(() => {
      this.#options.log.error("a worker does not end and is killed", { worker: this.#options.number, pid: this.pid });
      this.#process?.kill();
    }, boundMs);
    await this.#loop;
    clearTimeout(timer);
  }

  async #run(): Promise<void> {
    const { number, log } = this.#options;
    let failures = 0;
    while (!this.#closing) {
      const startedMs = performance.now();
      const { how, fault } = await this.#runProcess();
      if (this.#closing) return;
      if (!this.#hasServed && fault) {
        this.#first.reject(new Error(this.#reason ?? `worker ${number} ended with ${how} before it served`));
        return;
      }
      if (performance.now() - startedMs >= STEADY_MS) failures = 0;
      const delayMs = Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** failures);
      failures += 1;
      log.warn("a worker ended and will be started again", { worker: number, ended: how, reason: this.#reason, delay_ms: delayMs });
      await this.#sleep(delayMs);
    }
  }

  /** Runs one process from its start to its end. */
  async #runProcess(): Promise<{ how: string; fault: boolean }> {
    this.#reason = undefined;
    try {
      this.#process = new WorkerProcess({ methods: this.#methods(), write: this.#options.write });
    } catch (error) {
      this.#reason = `no process can be started: ${describeError(error)}`;
      return { how: "nothing", fault: true };
    }
    const process = this.#process;
    const how = await process.ended;
    this.#options.onEnded(process.lasting);
    this.#serving = false;
    this.#process = undefined;
    return { how, fault: !TERMINAL_SIGNALS.has(process.signal) };
  }

  #methods() {
    const { number, log, assignment, siblings, onRestarted } = this.#options;
    return {
      assignment: (): Assignment => ({ ...assignment(), number }),
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

  #sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
