import { closeSync, constants, mkdtempSync, openSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { executable } from "./executable.ts";
import { waitFor } from "./wait.ts";

/** `lockstep subscribe` as a process of its own, alone in an empty folder. */
export class SubscriberProcess {
  /** Whole lines of standard output. */
  readonly lines: string[] = [];
  /** Whole lines of standard error. */
  readonly notes: string[] = [];
  readonly pid: number;
  readonly #child: Bun.Subprocess<"ignore", "pipe" | number, "pipe">;
  /** The reading end of standard output, as long as nobody reads. */
  readonly #unread: number | undefined;
  readonly #said: Promise<void>;

  private constructor(child: Bun.Subprocess<"ignore", "pipe" | number, "pipe">, unread?: number) {
    this.#child = child;
    this.#unread = unread;
    this.pid = child.pid;
    this.#said = collect(child.stderr, this.notes);
    if (child.stdout instanceof ReadableStream) void collect(child.stdout, this.lines);
  }

  static async start(words: readonly string[], env: Record<string, string> = {}): Promise<SubscriberProcess> {
    const cwd = mkdtempSync(join(tmpdir(), "lockstep-empty-"));
    const command = [await executable(), "subscribe", ...words];
    return new SubscriberProcess(Bun.spawn(command, { cwd, env, stdin: "ignore", stdout: "pipe", stderr: "pipe" }));
  }

  /** Its standard output is a pipe that nobody reads before `read`: of a usual one Bun itself would take all. */
  static async startUnread(words: readonly string[]): Promise<SubscriberProcess> {
    const cwd = mkdtempSync(join(tmpdir(), "lockstep-empty-"));
    const command = [await executable(), "subscribe", ...words];
    const pipe = join(cwd, "pipe");
    Bun.spawnSync(["mkfifo", pipe]);
    // To open one end waits for the other, unless it need not.
    const first = openSync(pipe, constants.O_RDONLY | constants.O_NONBLOCK);
    const output = openSync(pipe, constants.O_WRONLY);
    const unread = openSync(pipe, constants.O_RDONLY);
    closeSync(first);
    const child = Bun.spawn(command, { cwd, env: {}, stdin: "ignore", stdout: output, stderr: "pipe" });
    closeSync(output);
    return new SubscriberProcess(child, unread);
  }

  /** Reads standard output from now on. */
  read(): void {
    if (this.#unread === undefined) return;
    const reader = Bun.spawn(["cat"], { stdin: this.#unread, stdout: "pipe" });
    closeSync(this.#unread);
    void collect(reader.stdout, this.lines);
  }

  /** Nobody will ever read. */
  hangUp(): void {
    if (this.#unread !== undefined) closeSync(this.#unread);
  }

  async receive(count: number): Promise<readonly string[]> {
    await waitFor(`${count} lines of ${this.pid}`, () => this.lines.length >= count);
    return this.lines;
  }

  async hear(part: string): Promise<void> {
    await waitFor(`"${part}" on standard error, beside ${JSON.stringify(this.notes)}`, () =>
      this.notes.some((note) => note.includes(part)),
    );
  }

  /** Its exit code, once it has ended by itself and all its notes are there. */
  async exited(): Promise<number> {
    await this.#said;
    return this.#child.exited;
  }

  end(signal: "SIGHUP" | "SIGINT" | "SIGKILL" | "SIGTERM" = "SIGINT"): Promise<number> {
    this.#child.kill(signal);
    return this.exited();
  }
}

async function collect(stream: Bun.Subprocess<"ignore", "pipe", "pipe">["stdout"], lines: string[]): Promise<void> {
  let rest = "";
  for await (const part of stream.pipeThrough(new TextDecoderStream())) {
    const parts = (rest + part).split("\n");
    rest = parts.pop() ?? "";
    lines.push(...parts);
  }
}
