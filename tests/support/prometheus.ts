import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findProgram } from "./programs.ts";
import { freePort } from "./redis.ts";
import { replaced } from "./replaced.ts";
import { waitFor } from "./wait.ts";

const deploy = join(import.meta.dir, "../../deploy");

export interface Sample {
  readonly metric: Readonly<Record<string, string>>;
  readonly value: readonly [time: number, value: string];
}

/** A real Prometheus with deploy/prometheus.yaml and deploy/alerts.yaml: only addresses, the key's file and the pace are the tests' own. */
export class Prometheus {
  /** Its configuration, as it was started with. */
  readonly file: string;
  readonly #url: string;
  readonly #folder: string;
  readonly #process: Bun.Subprocess;

  private constructor(url: string, folder: string, file: string, words: readonly string[]) {
    this.#url = url;
    this.#folder = folder;
    this.file = file;
    this.#process = Bun.spawn([findProgram("prometheus"), ...words], { stdin: "ignore", stdout: "ignore", stderr: "inherit" });
  }

  /** Starts it to look at these two once a second; resolves when it answers. */
  static async start(one: number, two: number, apiKey: string): Promise<Prometheus> {
    const folder = mkdtempSync(join(tmpdir(), "lockstep-prometheus-"));
    const file = join(folder, "prometheus.yaml");
    const key = join(folder, "key");
    const text = replaced(readFileSync(join(deploy, "prometheus.yaml"), "utf8"), {
      "lockstep-1:9001": `127.0.0.1:${one}`,
      "lockstep-2:9001": `127.0.0.1:${two}`,
      "/run/secrets/lockstep_api_key": key,
      "interval: 15s": "interval: 1s",
    });
    writeFileSync(key, `${apiKey}\n`);
    writeFileSync(file, text);
    copyFileSync(join(deploy, "alerts.yaml"), join(folder, "alerts.yaml"));
    const address = `127.0.0.1:${await freePort()}`;
    const words = [`--config.file=${file}`, `--storage.tsdb.path=${folder}/data`, `--web.listen-address=${address}`, "--log.level=error"];
    const prometheus = new Prometheus(`http://${address}`, folder, file, words);
    const ready = async (): Promise<boolean> => (await fetch(`http://${address}/-/ready`).catch(() => undefined))?.status === 200;
    await waitFor("Prometheus to be ready", async () => prometheus.#process.exitCode !== null || (await ready()));
    if (prometheus.#process.exitCode !== null) throw new Error("Prometheus did not start");
    return prometheus;
  }

  /** What an expression says now. @throws what Prometheus has against it */
  async query(expression: string): Promise<readonly Sample[]> {
    return Object(await this.#ask(`query?query=${encodeURIComponent(expression)}`)).result;
  }

  /** What Grafana's label_values asks for. */
  async labelValues(metric: string, label: string): Promise<readonly string[]> {
    return Object(await this.#ask(`label/${label}/values?match[]=${metric}`));
  }

  async stop(): Promise<void> {
    this.#process.kill("SIGKILL");
    await this.#process.exited;
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async #ask(question: string): Promise<unknown> {
    const response = await fetch(`${this.#url}/api/v1/${question}`);
    const answer = await response.json();
    if (!response.ok) throw new Error(`${question}: ${JSON.stringify(answer)}`);
    return Object(answer).data;
  }
}

/** Runs `promtool`; resolves with its exit code and all that it said. */
export async function promtool(...words: readonly string[]): Promise<{ code: number; said: string }> {
  const child = Bun.spawn([findProgram("promtool"), ...words], { stdout: "pipe", stderr: "pipe" });
  const said = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
  return { code: await child.exited, said: said.join("") };
}
