import { styleText } from "node:util";
import { print } from "./say.ts";
import manifest from "../../package.json" with { type: "json" };

export const HELP = `Lockstep ${manifest.version}: a realtime channel server in one executable.

Usage:
  lockstep [serve] [--config FILE]         serve (the default)
  lockstep publish <url> <text|->          publish a message on a channel
  lockstep subscribe <url> [--since ID]    write the messages of a channel, one line each
  lockstep token --sub SUBJECT ...         write a token that the server takes
  lockstep check FILE                      check a configuration file
  lockstep healthcheck                     ask the local server whether it is live (for containers)
  lockstep help <command>                  all of one command, as <command> --help does
  lockstep --help | --version

A url is http(s)://host:port/<path>, or the /ws/<path> of it. Credentials come from LOCKSTEP_TOKEN, else LOCKSTEP_API_KEY.

Examples:
  PORT=8080 REDIS_URL=redis://127.0.0.1:6379 lockstep
  lockstep subscribe http://localhost:9001/rooms/lobby
  lockstep publish http://localhost:9001/rooms/lobby 'hello'
  LOCKSTEP_JWT_SECRET=... lockstep token --sub alice --subscribe 'rooms/*' --publish 'rooms/*' --ttl 1h

Exit codes: 0 done, 1 it failed, 2 the words or the configuration are wrong.
`;

/** Writes a help text; on a terminal its headings stand out. */
export function writeHelp(text: string): void {
  const stream = process.stdout;
  print(text.replaceAll(/^[A-Z][A-Za-z ]*:/gm, (heading) => styleText("bold", heading, { stream })));
}
