import { existsSync } from "node:fs";
import type { ConfigFile } from "../config/file.ts";
import { Heartbeat } from "./heartbeat.ts";
import { Line } from "./line.ts";
import { WORKER_WORD, type SupervisorAnswers, type WorkerAnswers } from "./orders.ts";

const END_MS = 100;

export interface WorkerProcessOptions {
  readonly answers: SupervisorAnswers;
  /** Writes whole lines of the log. */
  readonly write: (lines: string) => void;
}

/** One process that serves, as the supervisor sees it. */
export class WorkerProcess {
  /** How it ended, in words; its last line has been written then. */
  readonly ended: Promise<string>;
  /** What it has counted, as far as it said. */
  lasting: readonly object[] = [];
  readonly #child: Bun.Subprocess<"ignore", "pipe", "inherit">;
  readonly #line: Line<WorkerAnswers>;
  // Without a bound: where the line has closed and the process goes on, it never answers again.
  readonly #heartbeat = new Heartbeat(async () => this.#keep(await this.#line.ask("beat", undefined)));
  #isUp = false;

  /** @throws the system's error where no process can be started */
  constructor({ answers, write }: WorkerProcessOptions) {
    const order: SupervisorAnswers["order"] = () => {
      this.#isUp = true;
      this.#heartbeat.up();
      return answers.order();
    };
    this.#line = new Line<WorkerAnswers>((message) => this.#child.send(message), { ...answers, order });
    this.#child = Bun.spawn([...sameProgram(), WORKER_WORD], {
      // So that lists of processes name the program, however it is found.
      argv0: process.execPath,
      stdin: "ignore",
      stdout: "pipe",
      stderr: "inherit",
      serialization: "advanced",
      ipc: (message) => this.#line.receive(message),
      onDisconnect: () => this.#line.close(),
    });
    this.ended = this.#end(forwardLines(this.#child.stdout, write));
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** The signal by which it was ended, if it was. */
  get signal(): unknown {
    return this.#child.signalCode;
  }

  /** Lets it drain and end. It may come at any time, and more than once. */
  stop(): void {
    this.#child.kill("SIGTERM");
  }

  kill(): void {
    this.#child.kill("SIGKILL");
  }

  /** It goes by another file from now on, also where it is still about to serve. */
  async reload(file: ConfigFile): Promise<void> {
    // Who has not asked for its order yet will find the file in it.
    if (this.#isUp) await this.#line.ask("reload", file);
  }

  /** Whether it turns, or has just ended. */
  async turns(boundMs: number): Promise<boolean> {
    if (this.#keep(await this.#line.ask("beat", undefined, boundMs))) return true;
    // Its line closes a moment before its end is known.
    return Promise.race([this.#child.exited.then(() => true), Bun.sleep(END_MS).then(() => false)]);
  }

  async ready(boundMs: number): Promise<boolean> {
    return (await this.#line.ask("ready", undefined, boundMs)) === true;
  }

  /** Its gauges, or undefined where it does not answer; its counters are in `lasting` then. */
  async read(boundMs: number): Promise<readonly object[] | undefined> {
    const readings = await this.#line.ask("read", undefined, boundMs);
    this.#keep(readings?.lasting);
    return readings?.passing;
  }

  /** Is called once a second, `onTime` or after a stall. Whether it must be hung. */
  isHung(onTime: boolean): boolean {
    return this.#heartbeat.turn(onTime);
  }

  /** Whether there is something to keep. */
  #keep(lasting: readonly object[] | undefined): boolean {
    if (lasting !== undefined) this.lasting = lasting;
    return lasting !== undefined;
  }

  async #end(forwarded: Promise<void>): Promise<string> {
    await Promise.all([this.#child.exited, forwarded]);
    this.#line.close();
    const { signalCode, exitCode } = this.#child;
    return signalCode === null ? `exit code ${exitCode}` : `signal ${signalCode}`;
  }
}

/** Where Linux keeps the program of a process, also when its file has been replaced by a newer one, or is gone (proc_pid_exe(5)). */
const OWN_PROGRAM = "/proc/self/exe";

/** The words that start this program anew: the executable is its own, from source it is Bun and the file. */
function sameProgram(): readonly string[] {
  if (!Bun.isStandaloneExecutable) return [process.execPath, ...process.execArgv, Bun.main];
  return [existsSync(OWN_PROGRAM) ? OWN_PROGRAM : process.execPath];
}

/** Passes on whole lines only, so that those of several workers never mix; half a line of one that was killed is no record. */
async function forwardLines(stream: ReadableStream<Uint8Array<ArrayBuffer>>, write: (lines: string) => void): Promise<void> {
  let rest = "";
  for await (const part of stream.pipeThrough(new TextDecoderStream())) {
    const text = rest + part;
    const end = text.lastIndexOf("\n") + 1;
    rest = text.slice(end);
    if (end > 0) write(text.slice(0, end));
  }
}
