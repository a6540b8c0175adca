import type { ConfigFile } from "../config/sources.ts";
import { Rpc } from "./rpc.ts";
import { WORKER_COMMAND, type SupervisorProtocol, type WorkerProtocol } from "./worker-protocol.ts";
import { existsSync } from "node:fs";

const END_MS = 100;

export interface WorkerProcessOptions {
  readonly methods: SupervisorProtocol;
  /** Writes whole lines of the log. */
  readonly write: (lines: string) => void;
}

/** One worker process, as the supervisor sees it. */
export class WorkerProcess {
  /** The exit code or signal, as a text. Resolves after the last line of its log is written. */
  readonly ended: Promise<string>;
  /** Its last known counters. */
  lasting: readonly object[] = [];
  readonly #child: Bun.Subprocess<"ignore", "pipe", "inherit">;
  readonly #rpc: Rpc<WorkerProtocol>;
  // Unbounded: a process that runs on after its connection closed never answers again, and counts as hung.
  readonly #heartbeat = new Heartbeat(async () => this.#keep(await this.#rpc.call("beat", undefined)));
  #isUp = false;

  /** Starts the process. @throws the system's error if that is impossible */
  constructor({ methods, write }: WorkerProcessOptions) {
    const assignment: SupervisorProtocol["assignment"] = () => {
      this.#isUp = true;
      this.#heartbeat.up();
      return methods.assignment();
    };
    this.#rpc = new Rpc<WorkerProtocol>((message) => this.#child.send(message), { ...methods, assignment });
    this.#child = Bun.spawn([...sameProgram(), WORKER_COMMAND], {
      // Lists of processes then show the program's name, not /proc/self/exe.
      argv0: process.execPath,
      stdin: "ignore",
      stdout: "pipe",
      stderr: "inherit",
      serialization: "advanced",
      ipc: (message) => this.#rpc.receive(message),
      onDisconnect: () => this.#rpc.close(),
    });
    this.ended = this.#end(forwardLines(this.#child.stdout, write));
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** The signal that ended it, if one did. */
  get signal(): unknown {
    return this.#child.signalCode;
  }

  /** Lets it drain and end. May be called at any time, and more than once. */
  stop(): void {
    this.#child.kill("SIGTERM");
  }

  kill(): void {
    this.#child.kill("SIGKILL");
  }

  /** Reloads it from another file, even before it serves. */
  async reload(file: ConfigFile): Promise<void> {
    // A process without an assignment yet will find the file in there.
    if (this.#isUp) await this.#rpc.call("reload", file);
  }

  /** Resolves with true if its event loop turns, or if it has just ended. */
  async turns(boundMs: number): Promise<boolean> {
    if (this.#keep(await this.#rpc.call("beat", undefined, boundMs))) return true;
    // The connection closes a moment before the exit is known.
    return Promise.race([this.#child.exited.then(() => true), Bun.sleep(END_MS).then(() => false)]);
  }

  async ready(boundMs: number): Promise<boolean> {
    return (await this.#rpc.call("ready", undefined, boundMs)) === true;
  }

  /** Its gauges, or undefined if it does not answer in time. Updates `lasting`. */
  async read(boundMs: number): Promise<readonly object[] | undefined> {
    const readings = await this.#rpc.call("read", undefined, boundMs);
    this.#keep(readings?.lasting);
    return readings?.passing;
  }

  /** Judges whether it hangs. Must be called once a second. @param onTime false after a stall of the supervisor */
  isHung(onTime: boolean): boolean {
    return this.#heartbeat.tick(onTime);
  }

  /** Keeps new counters, and returns whether there are any. */
  #keep(lasting: readonly object[] | undefined): boolean {
    if (lasting !== undefined) this.lasting = lasting;
    return lasting !== undefined;
  }

  async #end(forwarded: Promise<void>): Promise<string> {
    await Promise.all([this.#child.exited, forwarded]);
    this.#rpc.close();
    const { signalCode, exitCode } = this.#child;
    return signalCode === null ? `exit code ${exitCode}` : `signal ${signalCode}`;
  }
}

/** On Linux, the running program itself, even after its file was replaced or deleted (proc_pid_exe(5)). */
const OWN_PROGRAM = "/proc/self/exe";

/** The command that starts this program again: the executable, or Bun and the source file. */
function sameProgram(): readonly string[] {
  if (!Bun.isStandaloneExecutable) return [process.execPath, ...process.execArgv, Bun.main];
  return [existsSync(OWN_PROGRAM) ? OWN_PROGRAM : process.execPath];
}

/** Forwards whole lines only, so that lines of several workers never mix. Drops the half line of a killed worker. */
async function forwardLines(stream: ReadableStream<Uint8Array<ArrayBuffer>>, write: (lines: string) => void): Promise<void> {
  let rest = "";
  for await (const part of stream.pipeThrough(new TextDecoderStream())) {
    const text = rest + part;
    const end = text.lastIndexOf("\n") + 1;
    rest = text.slice(end);
    if (end > 0) write(text.slice(0, end));
  }
}

/** The ticks without an answer after which a process counts as hung, once it is up and while it starts. */
const MAX_MISSES = 10;
const MAX_MISSES_AT_START = 60;

/**
 * Detects a process that hangs. It counts ticks of the watching process instead of time, and only ticks that came on time: after a
 * stall of the machine or of the watching process, a missing answer proves nothing.
 */
export class Heartbeat {
  readonly #ask: () => Promise<boolean>;
  #isUp = false;
  #unanswered = false;
  #misses = 0;

  /** @param ask resolves with true once the process answers, with false if it never will */
  constructor(ask: () => Promise<boolean>) {
    this.#ask = ask;
  }

  /** Starts asking: the process is up. */
  up(): void {
    this.#isUp = true;
    this.#misses = 0;
  }

  /**
   * Counts a missing answer, or asks again after an answer. Must be called once a second.
   *
   * @param onTime false after a stall of the watching process
   * @returns true if the process hangs
   */
  tick(onTime: boolean): boolean {
    if (this.#unanswered || !this.#isUp) this.#misses = onTime ? this.#misses + 1 : 0;
    else void this.#beat();
    return this.#misses >= (this.#isUp ? MAX_MISSES : MAX_MISSES_AT_START);
  }

  async #beat(): Promise<void> {
    this.#unanswered = true;
    if (!(await this.#ask())) return;
    this.#unanswered = false;
    this.#misses = 0;
  }
}
