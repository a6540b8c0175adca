import { loadConfig } from "../config/config.ts";
import { describeError } from "../log.ts";
import { expectWords, UsageError, type Options } from "./words.ts";

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
