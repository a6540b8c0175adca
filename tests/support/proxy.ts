import { connect, createServer, type Server, type Socket } from "node:net";

/** A TCP proxy that can cut its connections, or hold them: then nothing passes and nobody is told, as behind a dead firewall. */
export class Proxy {
  readonly port: number;
  readonly #server: Server;
  readonly #pairs: Set<readonly [Socket, Socket]>;
  readonly #state: { held: boolean };

  private constructor(port: number, server: Server, pairs: Set<readonly [Socket, Socket]>, state: { held: boolean }) {
    this.port = port;
    this.#server = server;
    this.#pairs = pairs;
    this.#state = state;
  }

  /** @param delayMs what passes takes so long, each way */
  static start(target: number, delayMs = 0): Promise<Proxy> {
    const pairs = new Set<readonly [Socket, Socket]>();
    const state = { held: false };
    const server = createServer((inside) => {
      const outside = connect(target, "127.0.0.1");
      const pair = [inside, outside] as const;
      pairs.add(pair);
      const join = (from: Socket, to: Socket): void => {
        from.on("data", (data) => (delayMs === 0 ? to.write(data) : setTimeout(() => to.write(data), delayMs)));
        from.on("error", () => to.destroy());
        from.on("close", () => {
          to.destroy();
          pairs.delete(pair);
        });
        if (state.held) from.pause();
      };
      join(inside, outside);
      join(outside, inside);
    });
    return new Promise((resolve) => {
      server.listen(0, "127.0.0.1", () => {
        const address = server.address();
        resolve(new Proxy(typeof address === "object" && address !== null ? address.port : 0, server, pairs, state));
      });
    });
  }

  /** From now on connections are accepted and nothing passes. */
  hold(): void {
    this.#state.held = true;
    for (const pair of this.#pairs) for (const socket of pair) socket.pause();
  }

  release(): void {
    this.#state.held = false;
    for (const pair of this.#pairs) for (const socket of pair) socket.resume();
  }

  cut(): void {
    for (const pair of this.#pairs) for (const socket of pair) socket.destroy();
  }

  stop(): void {
    this.cut();
    this.#server.close();
  }
}
