import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Redis } from "ioredis";
import { findProgram } from "./programs.ts";

/** A port that nobody listens on at this moment. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.on("error", reject);
    probe.listen(0, "127.0.0.1", () => {
      const address = probe.address();
      const port = typeof address === "object" && address !== null ? address.port : 0;
      probe.close(() => resolve(port));
    });
  });
}

/** What a Redis keeps over a kill: nothing, or every write. */
export type Persistence = "none" | "always";

/** A real Redis of the tests' own, on a free port. */
export class RedisServer {
  readonly port: number;
  readonly url: string;
  /** Where it keeps its data. */
  readonly folder: string;
  readonly #persistence: Persistence;
  #process: Bun.Subprocess | undefined;
  readonly #clients: Redis[] = [];

  private constructor(port: number, persistence: Persistence) {
    this.port = port;
    this.#persistence = persistence;
    this.url = `redis://127.0.0.1:${port}`;
    this.folder = mkdtempSync(join(tmpdir(), "lockstep-redis-"));
  }

  static async start(persistence: Persistence = "none"): Promise<RedisServer> {
    const server = new RedisServer(await freePort(), persistence);
    await server.start();
    return server;
  }

  /** Starts it (again), and resolves when it answers. */
  async start(): Promise<void> {
    const kept = this.#persistence === "none" ? ["--appendonly", "no"] : ["--appendonly", "yes", "--appendfsync", "always"];
    const words = ["--port", String(this.port), "--bind", "127.0.0.1", "--save", "", ...kept, "--dir", this.folder];
    this.#process = Bun.spawn([findProgram("redis-server"), ...words], { stdout: "ignore", stderr: "ignore" });
    const client = this.client();
    await client.ping();
    client.disconnect();
  }

  /** A client of another program, with ioredis's own patience. */
  client(): Redis {
    const client = new Redis(this.url, { retryStrategy: () => 20, maxRetriesPerRequest: null });
    client.on("error", () => "it is tried again");
    this.#clients.push(client);
    return client;
  }

  async kill(): Promise<void> {
    this.#process?.kill("SIGKILL");
    await this.#process?.exited;
  }

  pause(): void {
    this.#process?.kill("SIGSTOP");
  }

  resume(): void {
    this.#process?.kill("SIGCONT");
  }

  async stop(): Promise<void> {
    for (const client of this.#clients) client.disconnect();
    await this.kill();
    rmSync(this.folder, { recursive: true, force: true });
  }
}
