import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { waitFor } from "./wait.ts";

const root = join(import.meta.dir, "../..");
let built: Promise<string> | undefined;

/** The path of the executable: the one that is said to be ready, or built by the project's own command, once for a test run. */
export function executable(): Promise<string> {
  built ??= (async () => {
    const ready = process.env["LOCKSTEP_EXECUTABLE"];
    if (ready !== undefined && ready !== "") return resolve(root, ready);
    const build = Bun.spawn([process.execPath, "run", "build"], { cwd: root, stdout: "ignore", stderr: "pipe" });
    if ((await build.exited) !== 0) throw new Error(`the build failed: ${await new Response(build.stderr).text()}`);
    return join(root, "dist/lockstep");
  })();
  return built;
}

export interface Finished {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the executable alone, in an empty folder, with no environment but the given one, until it ends. */
export async function run(words: readonly string[], env: Record<string, string> = {}, input: string | Uint8Array = ""): Promise<Finished> {
  const cwd = mkdtempSync(join(tmpdir(), "lockstep-empty-"));
  const child = Bun.spawn([await executable(), ...words], { cwd, env, stdin: Buffer.from(input), stdout: "pipe", stderr: "pipe" });
  const [stdout, stderr] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
  const code = await child.exited;
  rmSync(cwd, { recursive: true });
  return { code, stdout, stderr };
}

/** A serving process. */
export class Server {
  readonly pid: number;
  readonly port: number;
  readonly url: string;
  readonly log: readonly Record<string, unknown>[];
  static readonly #running = new Set<Server>();
  readonly #child: Bun.Subprocess;
  readonly #folder: string;

  private constructor(child: Bun.Subprocess, folder: string, log: readonly Record<string, unknown>[], port: number) {
    this.#child = child;
    this.#folder = folder;
    this.pid = child.pid;
    this.log = log;
    this.port = port;
    this.url = `http://127.0.0.1:${port}`;
  }

  /** Starts the executable in a folder, by default an empty one, and resolves when its log says that it listens. */
  static async start(env: Record<string, string> = {}, cwd = mkdtempSync(join(tmpdir(), "lockstep-empty-"))): Promise<Server> {
    const child = Bun.spawn([await executable()], { cwd, env: { PORT: "0", ...env }, stdout: "pipe", stderr: "inherit" });
    const log: Record<string, unknown>[] = [];
    const listening = (): Record<string, unknown> | undefined => log.find(({ msg }) => msg === "listening");
    const read = (async () => {
      let rest = "";
      for await (const part of child.stdout.pipeThrough(new TextDecoderStream())) {
        const lines = (rest + part).split("\n");
        rest = lines.pop() ?? "";
        for (const line of lines) log.push(JSON.parse(line));
      }
    })();
    read.catch((error: unknown) => log.push({ level: "error", msg: `the log is no JSON: ${String(error)}` }));
    await waitFor("the server to listen", () => listening() !== undefined || child.exitCode !== null);
    const server = new Server(child, cwd, log, Number(new URL(String(listening()?.["url"])).port));
    Server.#running.add(server);
    return server;
  }

  /** It outlives its test: who started it ends it. */
  keep(): this {
    Server.#running.delete(this);
    return this;
  }

  /** Kills every server that still runs. */
  static async endAll(): Promise<void> {
    await Promise.all([...Server.#running].map((server) => server.end("SIGKILL")));
  }

  /** The processes that serve for it, where it has workers, as they were when it began to listen. */
  get workers(): readonly number[] {
    const listening = this.log.find(({ msg }) => msg === "listening");
    return Array.isArray(listening?.["workers"]) ? listening["workers"].map(Number) : [];
  }

  /** Its lines of one kind. */
  lines(msg: string): readonly Record<string, unknown>[] {
    return this.log.filter((line) => line["msg"] === msg);
  }

  /** Lets it read its configuration anew. */
  hangUp(): void {
    this.#child.kill("SIGHUP");
  }

  /** Sends a signal and resolves with the exit code. */
  async end(signal: "SIGTERM" | "SIGINT" | "SIGKILL" = "SIGTERM"): Promise<number> {
    Server.#running.delete(this);
    this.#child.kill(signal);
    const code = await this.#child.exited;
    rmSync(this.#folder, { recursive: true, force: true });
    return code;
  }
}
