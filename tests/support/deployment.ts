import { mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Server } from "./executable.ts";
import { Nginx } from "./nginx.ts";
import { freePort, RedisServer } from "./redis.ts";
import { replaced } from "./replaced.ts";

const settings = join(import.meta.dir, "../../deploy/lockstep.toml");

export interface DeploymentSetup {
  readonly env?: Readonly<Record<string, string>>;
  /** More keys of `[limits]`, and what may stand below. */
  readonly more?: string;
}

/** What deploy/compose.yaml starts, as processes: a Redis, two instances with deploy/lockstep.toml, nginx before them. */
export class Deployment {
  readonly redis: RedisServer;
  readonly servers: readonly [Server, Server];
  readonly nginx: Nginx;
  static readonly #running = new Set<Deployment>();
  readonly #env: Readonly<Record<string, string>>;

  private constructor(redis: RedisServer, servers: readonly [Server, Server], nginx: Nginx, env: Readonly<Record<string, string>>) {
    this.redis = redis;
    this.servers = servers;
    this.nginx = nginx;
    this.#env = env;
  }

  static async start({ env = {}, more = "" }: DeploymentSetup = {}): Promise<Deployment> {
    const redis = await RedisServer.start();
    const file = join(mkdtempSync(join(tmpdir(), "lockstep-deployment-")), "lockstep.toml");
    writeFileSync(file, `${replaced(readFileSync(settings, "utf8"), { "172.30.9.10": "127.0.0.1" })}${more}`);
    const all = { ...env, REDIS_URL: redis.url, LOCKSTEP_CONFIG: file };
    const start = async (): Promise<Server> => Server.start({ ...all, PORT: String(await freePort()) });
    const servers = [await start(), await start()] as const;
    try {
      const deployment = new Deployment(redis, servers, await Nginx.start(servers[0].port, servers[1].port), all);
      Deployment.#running.add(deployment);
      return deployment;
    } catch (error) {
      await Promise.all([...servers.map((server) => server.end("SIGKILL")), redis.stop()]);
      throw error;
    }
  }

  /** Ends all that were started. */
  static async endAll(): Promise<void> {
    await Promise.all([...Deployment.#running].map((deployment) => deployment.#end()));
    Deployment.#running.clear();
  }

  /** Starts an instance where one has ended. */
  again({ port }: Server): Promise<Server> {
    return Server.start({ ...this.#env, PORT: String(port) });
  }

  async #end(): Promise<void> {
    await this.nginx.stop();
    await Promise.all(this.servers.map((server) => server.end("SIGKILL")));
    await this.redis.stop();
  }
}
