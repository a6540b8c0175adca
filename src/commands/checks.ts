import { loadConfig } from "../config/load.ts";
import { UsageError } from "../errors.ts";
import { describeError } from "../log.ts";
import { print, expectWords, complain, type Options } from "./terminal.ts";

export const CHECK_HELP = `Checks a configuration file alone, without the environment.

Usage:
  lockstep check FILE

Example:
  lockstep check lockstep.toml && kill -HUP "$(pidof lockstep)"

Exit codes: 0 valid, 2 not valid, with one line on standard error for each fault.
`;

/** `lockstep check FILE`. The environment does not count. */
export function check(words: readonly string[]): Promise<number> {
  const [file] = expectWords(words, 1, "check takes one file");
  const { kinds, broadcasts } = loadConfig({}, file);
  print(`${file}: valid, ${count(kinds, "kind")} of channel, ${count(broadcasts, "broadcast")}\n`);
  return Promise.resolve(0);
}

function count({ length }: readonly unknown[], noun: string): string {
  return `${length} ${noun}${length === 1 ? "" : "s"}`;
}

export const HEALTHCHECK_HELP = `Asks the server on this machine if it is live, for containers. A server is live while Redis is away, and while it drains.

Usage:
  lockstep healthcheck [--config FILE]

HOST and PORT, or the file, give the address of the server, as they do for the server itself.

Example:
  HEALTHCHECK CMD ["lockstep", "healthcheck"]

Exit codes: 0 live, 1 not live or no answer within 3 s, 2 wrong arguments or configuration.
`;

const HEALTHCHECK_TIMEOUT_MS = 3000;

/** `lockstep healthcheck`. It asks `/livez`, not `/readyz`: a restart because Redis is away would only drop clients. */
export async function healthcheck(words: readonly string[], { config: file }: Options): Promise<number> {
  expectWords(words, 0, "healthcheck takes no arguments");
  const { host, port } = loadConfig(process.env, file);
  if (port === 0) throw new UsageError("healthcheck needs a port; with port 0 only the log of the server names the real one");
  const url = `http://${localAddress(host)}:${port}/livez`;
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(HEALTHCHECK_TIMEOUT_MS) });
    if (response.ok) return 0;
    complain(`${url} answered ${response.status}`);
  } catch (error) {
    complain(`${url} did not answer (${reasonOf(error)})`);
  }
  return 1;
}

function reasonOf(error: unknown): string {
  if (error instanceof Error && error.name === "TimeoutError") return `within ${HEALTHCHECK_TIMEOUT_MS} ms`;
  return error instanceof Error && "code" in error ? String(error.code) : describeError(error);
}

/** The address of a server on this machine that listens on `host`. */
function localAddress(host: string): string {
  if (host === "0.0.0.0") return "127.0.0.1";
  if (host === "::") return "[::1]";
  return host.includes(":") ? `[${host}]` : host;
}
