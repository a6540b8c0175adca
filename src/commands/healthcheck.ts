import { loadConfig } from "../config/load.ts";
import { describeError } from "../log.ts";
import { UsageError } from "../usage-error.ts";
import { complain } from "./say.ts";
import { expectWords, type Options } from "./words.ts";

export const HEALTHCHECK_HELP = `Asks the server on this machine whether it is live: for containers. It is also while Redis is away, or it drains.

Usage:
  lockstep healthcheck [--config FILE]

HOST and PORT, or the file, say where the server is, as they say it to the server.

Example:
  HEALTHCHECK CMD ["lockstep", "healthcheck"]

Exit codes: 0 it is, 1 it is not, or does not answer within 3 s; 2 the words or the configuration are wrong.
`;

const HEALTHCHECK_TIMEOUT_MS = 3000;

/** `lockstep healthcheck`. Asks `/livez`, not `/readyz`: a container that is restarted because Redis is away would only drop its clients. */
export async function healthcheck(words: readonly string[], { config: file }: Options): Promise<number> {
  expectWords(words, 0, "healthcheck takes no words");
  const { host, port } = loadConfig(process.env, file);
  if (port === 0) throw new UsageError("healthcheck needs a port; with 0 only the server's log names the one that was picked");
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

/** Where a server that listens on `host` is reached from its own machine. */
function localAddress(host: string): string {
  if (host === "0.0.0.0") return "127.0.0.1";
  if (host === "::") return "[::1]";
  return host.includes(":") ? `[${host}]` : host;
}
