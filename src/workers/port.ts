import { describeError } from "../log.ts";

interface Address {
  readonly host: string;
  readonly port: number;
}

/** A port that other servers find taken, while the workers of this one share it. */
export interface SharedPort {
  readonly port: number;
  release(): void;
}

/**
 * Takes a port as a single server would, and lets it go for the workers to bind. 0 becomes a free one.
 *
 * @throws the system's error, with its `code`, where the port cannot be had
 */
export async function takePort({ host, port: wanted }: Address): Promise<SharedPort> {
  // Another server may try between this one's letting go and its workers' binding; would it not share the port in silence?
  const lock = wanted === 0 ? undefined : lockPort(host, wanted);
  try {
    const probe = Bun.serve({ hostname: host, port: wanted, reusePort: false, fetch: () => new Response(null, { status: 503 }) });
    const { port = wanted } = probe;
    await probe.stop(true);
    const held = lock ?? lockPort(host, port);
    return { port, release: () => held?.stop(true) };
  } catch (error) {
    lock?.stop(true);
    throw error;
  }
}

/** A name that only one process may hold, and that is free when it ends, however. Linux alone has such (unix(7), abstract sockets). */
function lockPort(host: string, port: number) {
  if (process.platform !== "linux") return undefined;
  return Bun.listen({ unix: `\0lockstep:${host}:${port}`, socket: { open: (socket) => socket.terminate(), data: () => undefined } });
}

/** Why nobody serves there, in one line. */
export function listenFault({ host, port }: Address, error: unknown): string {
  const taken = error instanceof Error && "code" in error && error.code === "EADDRINUSE";
  return taken ? `port ${port} on ${host} is taken` : `cannot serve on ${host}:${port}: ${describeError(error)}`;
}
