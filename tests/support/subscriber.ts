import { closeSync, constants, mkdtempSync, openSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { executable } from "./executable.ts";
import { waitFor } from "./wait.ts";

/** `lockstep subscribe` as a process in an empty folder. */
export class SubscriberProcess {
  /** Whole lines of standard output. */
  readonly lines: string[] = [];
  /** Whole lines of standard error. */
  readonly notes: string[] = [];
  readonly pid: number;
  readonly #child: Bun.Subprocess<"ignore", "pipe" | number, "pipe">;
  /** Reading end of standard output while nobody reads it. */
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

  /** Starts with a pipe as standard output that nobody reads before `read`; Bun itself would read all of a usual one. */
  static async startUnread(words: readonly string[]): Promise<SubscriberProcess> {
    const cwd = mkdtempSync(join(tmpdir(), "lockstep-empty-"));
    const command = [await executable(), "subscribe", ...words];
    const pipe = join(cwd, "pipe");
    Bun.spawnSync(["mkfifo", pipe]);
    // Opening one end of a pipe blocks until the other is open, unless O_NONBLOCK is given.
    const first = openSync(pipe, constants.O_RDONLY | constants.O_NONBLOCK);
    const output = openSync(pipe, constants.O_WRONLY);
    const unread = openSync(pipe, constants.O_RDONLY);
    closeSync(first);
    const child = Bun.spawn(command, { cwd, env: {}, stdin: "ignore", stdout: output, stderr: "pipe" });
    closeSync(output);
    return new SubscriberProcess(child, unread);
  }

  /** Begins to read standard output. */
  read(): void {
    if (this.#unread === undefined) return;
    const reader = Bun.spawn(["cat"], { stdin: this.#unread, stdout: "pipe" });
    closeSync(this.#unread);
    void collect(reader.stdout, this.lines);
  }

  /** Closes standard output unread. */
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

  /** Resolves to the exit code once the process has ended and all its notes are there. */
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
