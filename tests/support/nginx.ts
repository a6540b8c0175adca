import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { childrenOf } from "./processes.ts";
import { findProgram } from "./programs.ts";
import { freePort } from "./redis.ts";
import { replaced } from "./replaced.ts";
import { waitFor } from "./wait.ts";

const config = join(import.meta.dir, "../../deploy/nginx.conf");

/** A real nginx with deploy/nginx.conf: only addresses and folders are the tests' own. */
export class Nginx {
  readonly port: number;
  readonly url: string;
  readonly #folder: string;
  readonly #process: Bun.Subprocess;

  private constructor(port: number, folder: string, words: readonly string[]) {
    this.port = port;
    this.url = `http://127.0.0.1:${port}`;
    this.#folder = folder;
    this.#process = Bun.spawn([...words, "-g", "daemon off;"], { stdin: "ignore", stdout: "ignore", stderr: "inherit" });
  }

  /** Starts it before these two; resolves once it accepts clients. */
  static async start(one: number, two: number): Promise<Nginx> {
    const folder = mkdtempSync(join(tmpdir(), "lockstep-nginx-"));
    // Its workers are another user.
    chmodSync(folder, 0o755);
    const port = await freePort();
    const text = replaced(readFileSync(config, "utf8"), {
      "listen 8080;": `listen 127.0.0.1:${port};`,
      "172.30.9.11:9001": `127.0.0.1:${one}`,
      "172.30.9.12:9001": `127.0.0.1:${two}`,
      "/tmp/": `${folder}/`,
      "/dev/stdout": join(folder, "access.log"),
      "/dev/stderr": join(folder, "error.log"),
    });
    writeFileSync(join(folder, "nginx.conf"), text);
    const nginx = new Nginx(port, folder, Nginx.#words(folder));
    await waitFor("nginx to start", () => nginx.workers.length > 0 || nginx.#process.exitCode !== null);
    if (nginx.#process.exitCode !== null) throw new Error("nginx did not start");
    return nginx;
  }

  static #words(folder: string): string[] {
    return [findProgram("nginx"), "-p", folder, "-c", join(folder, "nginx.conf")];
  }

  /** Its processes but the first. */
  get workers(): readonly number[] {
    return childrenOf(this.#process.pid);
  }

  /** Lines of its access log. */
  get accesses(): readonly Record<string, unknown>[] {
    return this.#read("access.log")
      .split("\n")
      .filter(Boolean)
      .map((line) => JSON.parse(line));
  }

  /** All that it has written. */
  get written(): string {
    return this.#read("access.log") + this.#read("error.log");
  }

  /** `nginx -s reload`; resolves once new workers serve. */
  async reload(): Promise<void> {
    const before = new Set(this.workers);
    // It says on standard error that it does what it was told.
    const { success, stderr } = Bun.spawnSync([...Nginx.#words(this.#folder), "-s", "reload"], { stdout: "ignore", stderr: "pipe" });
    if (!success) throw new Error(`nginx refused to reload: ${stderr.toString()}`);
    await waitFor("new workers", () => this.workers.filter((pid) => !before.has(pid)).length >= before.size);
  }

  async stop(): Promise<void> {
    this.#process.kill("SIGTERM");
    await this.#process.exited;
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #read(name: string): string {
    const file = join(this.#folder, name);
    return existsSync(file) ? readFileSync(file, "utf8") : "";
  }
}
