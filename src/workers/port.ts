import { describeError } from "../log.ts";

interface Address {
  readonly host: string;
  readonly port: number;
}

/** A port that the workers share, and that every other server finds taken. */
export interface SharedPort {
  readonly port: number;
  release(): void;
}

/**
 * Binds a port alone, to prove that it is free, and releases it for the workers to share. 0 picks a free port.
 *
 * @throws the system's error, with its `code`, if the port is taken or not allowed
 */
export async function takePort({ host, port: wanted }: Address): Promise<SharedPort> {
  // Without the lock, another Lockstep that starts between the release and the workers' binding would silently share the port.
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

/** Holds a name that only one process can hold, until that ends in any way: an abstract socket (unix(7)), which only Linux has. */
function lockPort(host: string, port: number) {
  if (process.platform !== "linux") return undefined;
  return Bun.listen({ unix: `\0lockstep:${host}:${port}`, socket: { open: (socket) => socket.terminate(), data: () => undefined } });
}

/** The reason why a server cannot listen there, in one line. */
export function listenFault({ host, port }: Address, error: unknown): string {
  const taken = error instanceof Error && "code" in error && error.code === "EADDRINUSE";
  return taken ? `port ${port} on ${host} is taken` : `cannot serve on ${host}:${port}: ${describeError(error)}`;
}
