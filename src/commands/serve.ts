import { ConfigError, loadConfig, takesSameTokens, type Config } from "../config/config.ts";
import { describeError, Log } from "../log.ts";
import { createServer, type LockstepServer } from "../server.ts";
import manifest from "../../package.json" with { type: "json" };
import { expectWords, type Options } from "./words.ts";

/** `lockstep serve`: until SIGTERM or SIGINT. SIGHUP reads the configuration anew. */
export async function serve(words: readonly string[], { config: file }: Options): Promise<number> {
  expectWords(words, 0, "serve takes no words");
  const config = loadConfig(process.env, file);
  // A reader of the log that goes away must not take the server along.
  process.stdout.on("error", () => undefined);
  const log = new Log(config.logLevel, config.logFormat, (line) => process.stdout.write(line));
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
  const server = await createServer(config, log).catch((error: unknown) => {
    throw new Error(listenFault(config, error));
  });
  let holds = config;
  reload = () => {
    holds = reloadConfig(server, file, log, holds);
  };
  if (early) reload();
  warnOfKeys(config, log);
  log.announce("listening", { url: server.url, pid: process.pid, version: manifest.version });
  const signal = await stopped;
  reload = () => undefined;
  log.info("draining", { signal });
  await server.drain();
  log.info("stopped");
  return 0;
}

/** Reads the configuration anew and returns the one that holds then: one with faults changes nothing. */
function reloadConfig(server: LockstepServer, file: string | undefined, log: Log, before: Config): Config {
  let config: Config;
  try {
    config = loadConfig(process.env, file);
  } catch (error) {
    const faults = error instanceof ConfigError ? error.faults : [describeError(error)];
    log.error("the configuration was not reloaded: the old one stays", { faults });
    return before;
  }
  const fixed = server.reload(config);
  if (fixed.length > 0) log.warn("some settings take a restart", { settings: fixed });
  if (!takesSameTokens(before.auth, config.auth) || before.auth.apiKey !== config.auth.apiKey) warnOfKeys(config, log);
  log.info("the configuration was reloaded", { kinds: config.kinds.length, broadcasts: config.broadcasts.length });
  return config;
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

function listenFault({ host, port }: Config, error: unknown): string {
  const taken = error instanceof Error && "code" in error && error.code === "EADDRINUSE";
  return taken ? `port ${port} on ${host} is taken` : `cannot serve on ${host}:${port}: ${describeError(error)}`;
}
