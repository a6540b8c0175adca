import { parseArgs } from "node:util";
import { ConfigError, loadConfig, type Config } from "./config/config.ts";
import { describeError, Log } from "./log.ts";
import { createServer } from "./server.ts";
import manifest from "../package.json" with { type: "json" };

const HELP = `Lockstep ${manifest.version}: a realtime channel server in one executable.

Usage:
  lockstep [serve] [--config FILE]   serve (the default)
  lockstep check FILE                check a configuration file
  lockstep healthcheck               ask the local server whether it is live (for containers)
  lockstep --help | --version

The environment wins over the file: HOST, PORT, REDIS_URL, LOCKSTEP_CONFIG, LOG_LEVEL, TZ.

Examples:
  lockstep
  PORT=8080 REDIS_URL=redis://127.0.0.1:6379 lockstep
  lockstep --config lockstep.toml

Exit codes: 0 done, 1 it failed, 2 the words or the configuration are wrong.
`;

const HEALTHCHECK_TIMEOUT_MS = 3000;

/** The words of the command line are wrong. */
class UsageError extends Error {}

type Command = (words: readonly string[], config: string | undefined) => Promise<number>;

const commands: Readonly<Record<string, Command>> = { serve, check, healthcheck };

async function serve(words: readonly string[], file: string | undefined): Promise<number> {
  expectWords(words, 0, "serve takes no words");
  const config = loadConfig(process.env, file);
  // A reader of the log that goes away must not take the server along.
  process.stdout.on("error", () => undefined);
  const log = new Log(config.logLevel, config.logFormat, (line) => process.stdout.write(line));
  // Heard from the first moment: a stop that comes while the bus is being opened must not kill in the middle.
  const stopped = new Promise<string>((resolve) => {
    for (const signal of ["SIGTERM", "SIGINT"]) process.on(signal, () => resolve(signal));
  });
  const server = await createServer(config, log).catch((error: unknown) => {
    throw new Error(listenFault(config, error));
  });
  warnOfKeys(config, log);
  log.announce("listening", { url: server.url, pid: process.pid, version: manifest.version });
  const signal = await stopped;
  log.info("draining", { signal });
  await server.drain();
  log.info("stopped");
  return 0;
}

/** RFC 7518 §3.2: a shorter secret is easier to guess than the signature. */
const MIN_SECRET_BYTES = 32;

function warnOfKeys({ auth, kinds }: Config, log: Log): void {
  const { jwtSecret, publicKey, jwksUrl, apiKey } = auth;
  if (jwtSecret === "" && publicKey === undefined && jwksUrl === "" && apiKey === "") {
    const shut = kinds.filter(({ access, publish }) => access === "token" || (publish ?? "open") !== "open").map(({ path }) => path);
    log.warn("no keys are set: anybody may join and publish on every channel", shut.length === 0 ? {} : { but: shut });
  }
  if (jwtSecret !== "" && Buffer.byteLength(jwtSecret) < MIN_SECRET_BYTES) {
    log.warn(`the JWT secret has fewer than ${MIN_SECRET_BYTES} bytes, so that it may be guessed from a token`);
  }
}

function check(words: readonly string[]): Promise<number> {
  const [file] = expectWords(words, 1, "check takes one file");
  const { kinds, broadcasts } = loadConfig({}, file);
  process.stdout.write(`${file}: valid, ${kinds.length} kinds of channel, ${broadcasts.length} broadcasts\n`);
  return Promise.resolve(0);
}

/** Asks `/livez`, not `/readyz`: a container that is restarted because Redis is away would only drop its clients. */
async function healthcheck(words: readonly string[], file: string | undefined): Promise<number> {
  expectWords(words, 0, "healthcheck takes no words");
  const { host, port } = loadConfig(process.env, file);
  if (port === 0) throw new UsageError("healthcheck needs a port; with 0 only the server's log names the one that was picked");
  const url = `http://${localAddress(host)}:${port}/livez`;
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(HEALTHCHECK_TIMEOUT_MS) });
    if (response.ok) return 0;
    process.stderr.write(`lockstep: ${url} answered ${response.status}\n`);
  } catch (error) {
    process.stderr.write(`lockstep: ${url} did not answer (${describeError(error)})\n`);
  }
  return 1;
}

/** Where a server that listens on `host` is reached from its own machine. */
function localAddress(host: string): string {
  if (host === "0.0.0.0") return "127.0.0.1";
  if (host === "::") return "[::1]";
  return host.includes(":") ? `[${host}]` : host;
}

function listenFault({ host, port }: Config, error: unknown): string {
  const taken = error instanceof Error && "code" in error && error.code === "EADDRINUSE";
  return taken ? `port ${port} on ${host} is taken` : `cannot serve on ${host}:${port}: ${describeError(error)}`;
}

function expectWords(words: readonly string[], count: number, otherwise: string): readonly string[] {
  if (words.length !== count) throw new UsageError(otherwise);
  return words;
}

function parseWords(words: readonly string[]) {
  try {
    return parseArgs({
      args: [...words],
      allowPositionals: true,
      options: { config: { type: "string" }, help: { type: "boolean", short: "h" }, version: { type: "boolean", short: "v" } },
    });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

async function run(words: readonly string[]): Promise<number> {
  const { values, positionals } = parseWords(words);
  if (values.help === true) {
    process.stdout.write(HELP);
    return 0;
  }
  if (values.version === true) {
    process.stdout.write(`${manifest.version}\n`);
    return 0;
  }
  const [name = "serve", ...rest] = positionals;
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (command === undefined) throw new UsageError(`unknown command ${JSON.stringify(name)}; see lockstep --help`);
  if (values.config === "") throw new UsageError("--config takes a file");
  if (values.config !== undefined && command === check) throw new UsageError("check takes its file as a word");
  return command(rest, values.config);
}

async function main(): Promise<void> {
  try {
    process.exitCode = await run(process.argv.slice(2));
  } catch (error) {
    const lines = error instanceof ConfigError ? error.faults : [error instanceof Error ? error.message : String(error)];
    process.stderr.write(lines.map((line) => `lockstep: ${line}\n`).join(""));
    process.exitCode = error instanceof ConfigError || error instanceof UsageError ? 2 : 1;
  }
}

void main();
