import { Client } from "./client.ts";

/** Messages of one connection, without holes after its start. */
export interface Run {
  readonly epoch: string;
  /** Offset after which the run begins. */
  readonly start: number;
  /** The server said that nothing is missing since the run before; null if it was not asked. */
  readonly resumed: boolean | null;
  readonly messages: string[];
}

/** A client on the wire that reconnects after every close, with the position that it has counted to. It is independent of client/ on purpose. */
export class ResumingClient {
  readonly runs: Run[] = [];
  readonly #ports: () => number;
  readonly #path: string;
  #client: Client | undefined;
  #closed = false;
  #done: Promise<void> | undefined;

  /** @param ports returns the port to join next */
  constructor(ports: () => number, path: string) {
    this.#ports = ports;
    this.#path = path;
  }

  /** Resolves once it has joined. */
  async start(): Promise<this> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#done = this.#run(resolve);
    await promise;
    return this;
  }

  /** Position by counting. */
  get position(): string | undefined {
    const run = this.runs.at(-1);
    return run === undefined ? undefined : `${run.epoch}-${run.start + run.messages.length}`;
  }

  get messages(): string[] {
    return this.runs.flatMap(({ messages }) => messages);
  }

  /** Cuts the connection, as a network would. */
  cut(): void {
    this.#client?.destroy();
  }

  async stop(): Promise<void> {
    this.#closed = true;
    this.#client?.destroy();
    await this.#done;
  }

  async #run(joined: () => void): Promise<void> {
    while (!this.#closed) {
      const since = this.position === undefined ? "" : `?since=${this.position}`;
      const { client, answer } = await Client.ask(this.#ports(), `/ws/${this.#path}${since}`).catch(() => ({
        client: undefined,
        answer: undefined,
      }));
      if (answer?.status !== 101 || client === undefined) {
        await Bun.sleep(20);
        continue;
      }
      this.#client = client;
      const [epoch = "", start] = answer.headers.get("lockstep-position")?.split("-") ?? [];
      const resumed = answer.headers.get("lockstep-resumed");
      const run: Run = { epoch, start: Number(start), resumed: resumed === undefined ? null : resumed === "true", messages: [] };
      this.runs.push(run);
      joined();
      let seen = 0;
      const take = (): void => {
        for (; seen < client.frames.length; seen += 1) {
          const frame = client.frames[seen];
          if (frame?.opcode === 1) run.messages.push(frame.payload.toString("utf8"));
        }
      };
      // The client parses on arrival. Its frames are collected every few milliseconds, and once more after the close.
      while (!client.closed) {
        take();
        await Bun.sleep(5);
      }
      take();
    }
  }
}
