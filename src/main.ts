import { check, CHECK_HELP, healthcheck, HEALTHCHECK_HELP } from "./commands/checks.ts";
import { publish, PUBLISH_HELP } from "./commands/publish.ts";
import { complain, print, writeHelp, parseWords, type Options } from "./commands/terminal.ts";
import { serve, SERVE_HELP } from "./commands/serve.ts";
import { subscribe, SUBSCRIBE_HELP } from "./commands/subscribe.ts";
import { token, TOKEN_HELP } from "./commands/token.ts";
import { worker } from "./commands/worker.ts";
import { ConfigError } from "./config/faults.ts";
import { UsageError } from "./errors.ts";
import { WORKER_COMMAND } from "./workers/worker-protocol.ts";
import manifest from "../package.json" with { type: "json" };

const HELP = `Lockstep ${manifest.version}: a realtime channel server in one executable.

Usage:
  lockstep [serve] [--config FILE]         serve (the default)
  lockstep publish <url> <text|->          publish a message on a channel
  lockstep subscribe <url> [--since ID]    print the messages of a channel, one line each
  lockstep token --sub SUBJECT ...         print a token for a client
  lockstep check FILE                      check a configuration file
  lockstep healthcheck                     ask the local server if it is live (for containers)
  lockstep help <command>                  print the help of one command, like <command> --help
  lockstep --help | --version

A url is http(s)://host:port/<path> or http(s)://host:port/ws/<path>. Credentials come from LOCKSTEP_TOKEN, else LOCKSTEP_API_KEY.

Examples:
  PORT=8080 REDIS_URL=redis://127.0.0.1:6379 lockstep
  lockstep subscribe http://localhost:9001/rooms/lobby
  lockstep publish http://localhost:9001/rooms/lobby 'hello'
  LOCKSTEP_JWT_SECRET=... lockstep token --sub alice --subscribe 'rooms/*' --publish 'rooms/*' --ttl 1h

Exit codes: 0 success, 1 failure, 2 wrong arguments or configuration.
`;

interface Command {
  run(words: readonly string[], options: Options): Promise<number>;
  readonly options: readonly (keyof Options)[];
  readonly help: string;
}

const commands: Readonly<Record<string, Command>> = {
  serve: { run: serve, options: ["config"], help: SERVE_HELP },
  publish: { run: publish, options: ["timeout", "idempotency-key"], help: PUBLISH_HELP },
  subscribe: { run: subscribe, options: ["since", "recent", "json"], help: SUBSCRIBE_HELP },
  token: { run: token, options: ["config", "sub", "subscribe", "publish", "ttl"], help: TOKEN_HELP },
  check: { run: check, options: [], help: CHECK_HELP },
  healthcheck: { run: healthcheck, options: ["config"], help: HEALTHCHECK_HELP },
  [WORKER_COMMAND]: { run: worker, options: [], help: HELP },
};

async function run(words: readonly string[]): Promise<number> {
  const { values, positionals } = parseWords(words);
  // `lockstep help publish` is for people who do not know the flag.
  const asks = values.help === true || positionals[0] === "help";
  const [name, ...rest] = positionals[0] === "help" ? positionals.filter((word) => word !== "help") : positionals;
  const command = Object.hasOwn(commands, name ?? "serve") ? commands[name ?? "serve"] : undefined;
  if (command === undefined) throw new UsageError(`unknown command ${JSON.stringify(name)}; see lockstep --help`);
  if (asks) {
    if (rest.length > 0) throw new UsageError("help takes one command; see lockstep --help");
    writeHelp(name === undefined ? HELP : command.help);
    return 0;
  }
  if (values.version === true) {
    print(`${manifest.version}\n`);
    return 0;
  }
  const stranger = Object.keys(values).find((option) => !command.options.some((known) => known === option));
  if (stranger !== undefined) throw new UsageError(`${name ?? "serve"} takes no --${stranger}; see lockstep ${name ?? "serve"} --help`);
  if (values.config === "") throw new UsageError("--config takes a file");
  return command.run(rest, values);
}

async function main(): Promise<void> {
  // A closed standard error is no fault.
  process.stderr.on("error", () => undefined);
  try {
    process.exitCode = await run(process.argv.slice(2));
  } catch (error) {
    const lines = error instanceof ConfigError ? error.faults : [error instanceof Error ? error.message : String(error)];
    complain(...lines);
    process.exitCode = error instanceof ConfigError || error instanceof UsageError ? 2 : 1;
  }
}

void main();
