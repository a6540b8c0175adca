import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Kind } from "../../src/channels/kind.ts";
import type { Config } from "../../src/config/config.ts";
import { loadConfig } from "../../src/config/load.ts";
import { Log } from "../../src/log.ts";
import { createServer, type LockstepServer } from "../../src/server.ts";
import { Client, type JoinOptions } from "./client.ts";

export interface Setup {
  readonly env?: Readonly<Record<string, string>>;
  /** A configuration file's text. */
  readonly toml?: string | Buffer;
  /** Kinds that no configuration could write, instead of the configured ones. */
  readonly kinds?: readonly Kind[];
}

/** The kind of the rooms, without history and presence. */
export const plainRooms = '[[channels]]\npath = "rooms/{room}"\n';

/** A configuration as the server would read it, from text. */
export function configOf(setup: Setup = {}): Config {
  const folder = mkdtempSync(join(tmpdir(), "lockstep-config-"));
  const file = join(folder, "lockstep.toml");
  writeFileSync(file, setup.toml ?? "");
  try {
    const config = loadConfig(setup.env ?? {}, file);
    return { ...config, kinds: setup.kinds ?? config.kinds };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** A server in this process, on a free port. */
export class Instance {
  readonly port: number;
  readonly url: string;
  readonly log: Record<string, unknown>[];
  readonly drain: () => Promise<void>;
  readonly #reload: (config: Config) => string[];
  readonly #clients: Client[] = [];

  private constructor(log: Record<string, unknown>[], server: LockstepServer) {
    const { port, drain, reload } = server;
    this.port = port;
    this.#reload = reload;
    this.url = `http://127.0.0.1:${port}`;
    this.log = log;
    this.drain = drain;
  }

  static async start(setup: Setup = {}): Promise<Instance> {
    const log: Record<string, unknown>[] = [];
    const config = configOf({ ...setup, env: { PORT: "0", HOST: "127.0.0.1", ...setup.env } });
    const server = await createServer(config, new Log("debug", "json", (line) => log.push(JSON.parse(line))));
    return new Instance(log, server);
  }

  /** Goes on by another configuration; returns the settings that take a restart. */
  reload(setup: Setup): string[] {
    return this.#reload(configOf({ ...setup, env: { PORT: "0", HOST: "127.0.0.1", ...setup.env } }));
  }

  /** Joins a channel; resolves once the server has opened the socket. */
  async join(path: string, options: JoinOptions = {}): Promise<Client> {
    const client = await Client.join(this.port, `/ws/${path}`, options);
    this.#clients.push(client);
    return client;
  }

  publish(path: string, body: string | Uint8Array<ArrayBuffer>, headers: Record<string, string> = {}): Promise<Response> {
    return fetch(`${this.url}/publish/${path}`, { method: "POST", body, headers });
  }

  /** Publishes a text and returns its position. */
  async publishId(path: string, text: string): Promise<string> {
    const body: unknown = await (await this.publish(path, text)).json();
    if (typeof body !== "object" || body === null || !("id" in body)) throw new Error(`the answer was ${JSON.stringify(body)}`);
    return String(body.id);
  }

  /** A metric's value. */
  async metric(name: string, headers: Record<string, string> = {}): Promise<number> {
    const text = await (await fetch(`${this.url}/metrics`, { headers })).text();
    return Number(new RegExp(`^${name} (.*)$`, "m").exec(text)?.[1]);
  }

  async ready(): Promise<boolean> {
    const response = await fetch(`${this.url}/readyz`);
    await response.text();
    return response.ok;
  }

  /** Ends it, and the clients that joined by it. */
  async stop(): Promise<void> {
    for (const client of this.#clients) client.destroy();
    await this.drain();
  }
}
