import { check } from "./commands/check.ts";
import { healthcheck } from "./commands/healthcheck.ts";
import { serve } from "./commands/serve.ts";
import { token } from "./commands/token.ts";
import { worker } from "./commands/worker.ts";
import { parseWords, UsageError, type Options } from "./commands/words.ts";
import { ConfigError } from "./config/config.ts";
import { WORKER_WORD } from "./workers/orders.ts";
import manifest from "../package.json" with { type: "json" };

const HELP = `Lockstep ${manifest.version}: a realtime channel server in one executable.

Usage:
  lockstep [serve] [--config FILE]   serve (the default); SIGHUP reads the configuration anew
  lockstep check FILE                check a configuration file
  lockstep token [--sub SUBJECT] [--subscribe PATTERN]... [--publish PATTERN]... [--ttl 1h] [--config FILE]
                                     write a token that the server's JWT secret signs
  lockstep healthcheck               ask the local server whether it is live (for containers)
  lockstep --help | --version

The environment wins over the file: HOST, PORT, WORKERS, REDIS_URL, LOCKSTEP_CONFIG, LOCKSTEP_JWT_SECRET, LOCKSTEP_API_KEY,
LOCKSTEP_ORIGINS, LOG_LEVEL, TZ.

Examples:
  lockstep
  PORT=8080 REDIS_URL=redis://127.0.0.1:6379 lockstep
  WORKERS=4 REDIS_URL=redis://127.0.0.1:6379 lockstep
  lockstep --config lockstep.toml
  LOCKSTEP_JWT_SECRET=... lockstep token --sub alice --subscribe 'rooms/*' --publish 'rooms/*' --ttl 1h

Exit codes: 0 done, 1 it failed, 2 the words or the configuration are wrong.
`;

interface Command {
  run(words: readonly string[], options: Options): Promise<number>;
  readonly options: readonly (keyof Options)[];
}

const commands: Readonly<Record<string, Command>> = {
  serve: { run: serve, options: ["config"] },
  check: { run: check, options: [] },
  token: { run: token, options: ["config", "sub", "subscribe", "publish", "ttl"] },
  [WORKER_WORD]: { run: worker, options: [] },
  healthcheck: { run: healthcheck, options: ["config"] },
};

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
  const stranger = Object.keys(values).find((option) => !command.options.some((known) => known === option));
  if (stranger !== undefined) throw new UsageError(`${name} takes no --${stranger}`);
  if (values.config === "") throw new UsageError("--config takes a file");
  return command.run(rest, values);
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
