import { takesSameTokens, type Config } from "../config/config.ts";
import { ConfigError } from "../config/faults.ts";
import { loadConfig } from "../config/load.ts";
import { readConfigFile, type ConfigFile } from "../config/file.ts";
import { describeError, Log } from "../log.ts";
import { createServer } from "../server.ts";
import { listenFault } from "../workers/port.ts";
import { Supervisor } from "../workers/supervisor.ts";
import manifest from "../../package.json" with { type: "json" };
import { isColoured } from "./say.ts";
import { expectWords, type Options } from "./words.ts";

export const SERVE_HELP = `Serves until SIGTERM or SIGINT, upon which it drains. SIGHUP reads the configuration anew. Standard output is the log.

Usage:
  lockstep [serve] [--config FILE]

The environment wins over the file: HOST, PORT, WORKERS, REDIS_URL, LOCKSTEP_CONFIG, LOCKSTEP_JWT_SECRET, LOCKSTEP_API_KEY,
LOCKSTEP_ORIGINS, LOG_LEVEL, TZ.

Examples:
  lockstep
  PORT=8080 REDIS_URL=redis://127.0.0.1:6379 lockstep
  WORKERS=4 REDIS_URL=redis://127.0.0.1:6379 lockstep
  lockstep --config lockstep.toml

Exit codes: 0 drained, 1 it could not serve, as when the port is taken; 2 the words or the configuration are wrong.
`;

/** `lockstep serve`: until SIGTERM or SIGINT. SIGHUP reads the configuration anew. */
export async function serve(words: readonly string[], { config: given }: Options): Promise<number> {
  expectWords(words, 0, "serve takes no words");
  const file = readConfigFile(process.env, given);
  const config = loadConfig(process.env, file);
  // A reader of the log that goes away must not take the server along.
  process.stdout.on("error", () => undefined);
  const write = (lines: string): unknown => process.stdout.write(lines);
  const coloured = isColoured(process.stdout);
  const log = new Log(config.logLevel, config.logFormat, write, {}, coloured);
  // Heard from the first moment: a stop that comes while the bus is being opened must not kill in the middle.
  const stopped = new Promise<string>((resolve) => {
    for (const signal of ["SIGTERM", "SIGINT"]) process.on(signal, () => resolve(signal));
  });
  // Nor may a reload; one that comes too early waits.
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
    let holds = config;
    reload = () => {
      holds = reloadConfig(server, given, log, holds);
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

/** Who serves: this process alone, or workers. */
interface Serving {
  /** What the log says of it once clients are accepted. */
  readonly listening: Promise<{ url: string }>;
  /** Returns the settings that differ and need a restart. */
  readonly reload: (config: Config, file: ConfigFile) => Promise<string[]>;
  readonly drain: () => Promise<void>;
}

async function serveAlone(config: Config, log: Log): Promise<Serving> {
  const { url, reload, drain } = await createServer(config, log);
  return { listening: Promise.resolve({ url }), reload: (next) => Promise.resolve(reload(next)), drain };
}

/** Reads the configuration anew and returns the one that holds then: one with faults changes nothing. */
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

/** RFC 7518 §3.2: a shorter secret is easier to guess than the signature. */
const MIN_SECRET_BYTES = 32;

function warnOfKeys({ auth, kinds }: Config, log: Log): void {
  const { jwtSecret, publicKey, jwksUrl, apiKey } = auth;
  if (jwtSecret === "" && publicKey === undefined && jwksUrl === "" && apiKey === "") {
    const shut = kinds.filter(({ access, publish, isOwned }) => isOwned || access === "token" || publish !== "open");
    log.warn(
      "no keys are set: anybody may join and publish on every channel",
      shut.length === 0 ? {} : { but: shut.map(({ path }) => path) },
    );
  }
  if (jwtSecret !== "" && Buffer.byteLength(jwtSecret) < MIN_SECRET_BYTES) {
    log.warn(`the JWT secret has fewer than ${MIN_SECRET_BYTES} bytes, so that it may be guessed from a token`);
  }
}
