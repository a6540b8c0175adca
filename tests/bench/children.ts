import { connect } from "node:net";

const PATIENCE_MS = 15_000;
const STEP_MS = 10;
/** How long a process may take to end before it is killed. */
const GRACE_MS = 1000;

/** A process that the bench has started, and what it has said. */
export class Child {
  /** Of what serves: a child may have started that, and says so. */
  pid: number;
  readonly #process: Bun.Subprocess<"ignore", "pipe", "pipe">;
  readonly #heard: Promise<unknown>;
  #out = "";
  #errors = "";

  constructor(command: readonly string[], env: Readonly<Record<string, string>>) {
    this.#process = Bun.spawn([...command], { env: { ...process.env, ...env }, stdin: "ignore", stdout: "pipe", stderr: "pipe" });
    this.pid = this.#process.pid;
    this.#heard = Promise.all([this.#hear(this.#process.stdout, "out"), this.#hear(this.#process.stderr, "errors")]);
  }

  get output(): string {
    return this.#out;
  }

  get hasEnded(): boolean {
    return this.#process.exitCode !== null || this.#process.signalCode !== null;
  }

  /** How it ended, and the last that it said of why. */
  get epitaph(): string {
    const { signalCode, exitCode } = this.#process;
    const how = signalCode === null ? `exit code ${exitCode}` : String(signalCode);
    const said = this.#errors.trim().split("\n").at(-1)?.trim() ?? "";
    return said === "" ? how : `${how}: ${said}`;
  }

  /** Resolves when it has ended and all that it said is there. */
  async ended(): Promise<void> {
    await this.#process.exited;
    await this.#heard;
  }

  /** Asks it to end, and kills it where it does not. */
  async end(): Promise<void> {
    this.signal("SIGTERM");
    const inTime = await Promise.race([this.#process.exited.then(() => true), Bun.sleep(GRACE_MS).then(() => false)]);
    if (!inTime) this.#kill();
    await this.#process.exited;
  }

  signal(signal: NodeJS.Signals): void {
    if (this.hasEnded) return;
    this.#process.kill(signal);
  }

  /** Also what it has started to serve, which would outlive it. */
  #kill(): void {
    if (this.pid !== this.#process.pid) Bun.spawnSync(["kill", "-9", String(this.pid)], { stderr: "ignore" });
    this.signal("SIGKILL");
  }

  async #hear(stream: ReadableStream<Uint8Array<ArrayBuffer>>, name: "out" | "errors"): Promise<void> {
    for await (const part of stream.pipeThrough(new TextDecoderStream())) {
      if (name === "out") this.#out += part;
      else this.#errors += part;
    }
  }
}

/** Somebody ended the bench before its time. */
export class Interrupted extends Error {}

/** All processes of a bench: whatever happens, none is left behind. */
export class Children {
  readonly #running = new Set<Child>();
  #isOver = false;

  get isOver(): boolean {
    return this.#isOver;
  }

  /** @throws Interrupted once all have been ended: what is under way then must not start another one */
  start(command: readonly string[], env: Readonly<Record<string, string>> = {}): Child {
    if (this.#isOver) throw new Interrupted();
    const child = new Child(command, env);
    this.#running.add(child);
    return child;
  }

  async end(child: Child): Promise<void> {
    await child.end();
    this.#running.delete(child);
  }

  async endAll(): Promise<void> {
    this.#isOver = true;
    await Promise.all([...this.#running].map((child) => this.end(child)));
  }
}

/** Starts a server and resolves with its port when it says where it listens. */
export async function listening(child: Child): Promise<number> {
  const line = (): RegExpExecArray | null => /^\{.*"url":"([^"]+)".*\}$/m.exec(child.output);
  await until(() => line() !== null || child.hasEnded);
  if (line() === null) {
    if (child.hasEnded) await child.ended();
    throw new Error(child.hasEnded ? `it ended before it listened (${child.epitaph})` : `it did not listen within ${PATIENCE_MS} ms`);
  }
  const [text = "", url = ""] = line() ?? [];
  const { pid }: { pid?: number } = JSON.parse(text);
  child.pid = pid ?? child.pid;
  return Number(new URL(url).port);
}

/** Resolves when something accepts connections on a port. */
export async function accepting(child: Child, port: number): Promise<void> {
  let accepted = false;
  const deadlineMs = Date.now() + PATIENCE_MS;
  while (!accepted && !child.hasEnded && Date.now() < deadlineMs) {
    accepted = await new Promise<boolean>((resolve) => {
      const socket = connect(port, "127.0.0.1", () => {
        socket.destroy();
        resolve(true);
      });
      socket.on("error", () => resolve(false));
    });
    if (!accepted) await Bun.sleep(STEP_MS);
  }
  if (!accepted) throw new Error(`nothing accepts connections on port ${port}`);
}

async function until(happened: () => boolean): Promise<void> {
  const deadlineMs = Date.now() + PATIENCE_MS;
  while (!happened() && Date.now() < deadlineMs) await Bun.sleep(STEP_MS);
}
