import { takesSameTokens, type Config } from "../config/config.ts";
import { ConfigError } from "../config/faults.ts";
import { loadConfig } from "../config/load.ts";
import { readConfigFile, type ConfigFile } from "../config/sources.ts";
import { describeError, Log } from "../log.ts";
import { createServer } from "../server.ts";
import { listenFault } from "../workers/port.ts";
import { Supervisor } from "../workers/supervisor.ts";
import manifest from "../../package.json" with { type: "json" };
import { isColoured, expectWords, type Options } from "./terminal.ts";

export const SERVE_HELP = `Serves until SIGTERM or SIGINT, then drains. SIGHUP reloads the configuration. The log goes to standard output.

Usage:
  lockstep [serve] [--config FILE]

The environment wins over the file: HOST, PORT, WORKERS, REDIS_URL, LOCKSTEP_CONFIG, LOCKSTEP_JWT_SECRET, LOCKSTEP_API_KEY,
LOCKSTEP_ORIGINS, LOG_LEVEL, TZ.

Examples:
  lockstep
  PORT=8080 REDIS_URL=redis://127.0.0.1:6379 lockstep
  WORKERS=4 REDIS_URL=redis://127.0.0.1:6379 lockstep
  lockstep --config lockstep.toml

Exit codes: 0 drained, 1 failure, for example a port that is taken, 2 wrong arguments or configuration.
`;

/** `lockstep serve`: until SIGTERM or SIGINT. SIGHUP reloads the configuration. */
export async function serve(words: readonly string[], { config: given }: Options): Promise<number> {
  expectWords(words, 0, "serve takes no arguments");
  const file = readConfigFile(process.env, given);
  const config = loadConfig(process.env, file);
  // The server outlives the reader of its log.
  process.stdout.on("error", () => undefined);
  const write = (lines: string): unknown => process.stdout.write(lines);
  const coloured = isColoured(process.stdout);
  const log = new Log(config.logLevel, config.logFormat, write, {}, coloured);
  // From the first moment on: a signal while the bus opens must not kill the process half-way.
  const stopped = new Promise<string>((resolve) => {
    for (const signal of ["SIGTERM", "SIGINT"]) process.on(signal, () => resolve(signal));
  });
  // A reload that comes too early waits.
  let early = false;
  let reload = (): void => {
    early = true;
  };
  process.on("SIGHUP", () => reload());
  const open = config.workers > 1 ? Supervisor.open({ config, file, log, write, coloured }) : serveAlone(config, log);
  const server = await open.catch((error: unknown) => {
    throw new Error(listenFault(config, error));
  });
  const listening = await Promise.race([server.listening, stopped]);
  if (typeof listening === "object") {
    let current = config;
    reload = () => {
      current = reloadConfig(server, given, log, current);
    };
    if (early) reload();
    warnOfKeys(config, log);
    log.announce("listening", { ...listening, pid: process.pid, version: manifest.version });
  }
  const signal = await stopped;
  reload = () => undefined;
  log.info("draining", { signal });
  await server.drain();
  log.info("stopped");
  return 0;
}

/** A server in this process, or its workers. */
interface Serving {
  /** Resolves to the fields of the log's "listening" line, once clients are accepted. */
  readonly listening: Promise<{ url: string }>;
  /** Returns the changed settings that need a restart. */
  readonly reload: (config: Config, file: ConfigFile) => Promise<string[]>;
  readonly drain: () => Promise<void>;
}

async function serveAlone(config: Config, log: Log): Promise<Serving> {
  const { url, reload, drain } = await createServer(config, log);
  return { listening: Promise.resolve({ url }), reload: (next) => Promise.resolve(reload(next)), drain };
}

/** Reloads the configuration, and returns the one that is valid from now on: one with faults changes nothing. */
function reloadConfig(server: Serving, given: string | undefined, log: Log, before: Config): Config {
  const file = readConfigFile(process.env, given);
  let config: Config;
  try {
    config = loadConfig(process.env, file);
  } catch (error) {
    const faults = error instanceof ConfigError ? error.faults : [describeError(error)];
    log.error("the configuration was not reloaded: the old one stays", { faults });
    return before;
  }
  void confirmReload(server.reload(config, file), before, config, log);
  return config;
}

async function confirmReload(reloaded: Promise<string[]>, before: Config, config: Config, log: Log): Promise<void> {
  const fixed = await reloaded;
  if (fixed.length > 0) log.warn("some settings take a restart", { settings: fixed });
  if (!takesSameTokens(before.auth, config.auth) || before.auth.apiKey !== config.auth.apiKey) warnOfKeys(config, log);
  log.info("the configuration was reloaded", { kinds: config.kinds.length, broadcasts: config.broadcasts.length });
}

/** RFC 7518 §3.2: a shorter secret is easier to guess than the signature (CWE-326). */
const MIN_SECRET_BYTES = 32;

function warnOfKeys({ auth, kinds }: Config, log: Log): void {
  const { jwtSecret, publicKey, jwksUrl, apiKey } = auth;
  if (jwtSecret === "" && publicKey === undefined && jwksUrl === "" && apiKey === "") {
    const closed = kinds.filter(({ access, publish, isOwned }) => isOwned || access === "token" || publish !== "open");
    log.warn(
      "no keys are set: anybody may join and publish on every channel",
      closed.length === 0 ? {} : { but: closed.map(({ path }) => path) },
    );
  }
  if (jwtSecret !== "" && Buffer.byteLength(jwtSecret) < MIN_SECRET_BYTES) {
    log.warn(`the JWT secret has fewer than ${MIN_SECRET_BYTES} bytes: anybody with a token may be able to guess it`);
  }
}
