/**
 * The methods of one end, by name. A method never answers undefined, which stands for no answer. A method that throws ends its
 * process, and the other end sees that.
 */
export type Methods = Readonly<Record<string, (value: never) => unknown>>;

type Argument<F extends (value: never) => unknown> = Parameters<F>[0];
type Result<F extends (value: never) => unknown> = Awaited<ReturnType<F>>;

interface Message {
  readonly id: number;
  /** The name of the method; left out in an answer. */
  readonly method?: string;
  readonly value: unknown;
}

/** Calls between two processes of the same executable, in both directions. Calls arrive in the order in which they were made. */
export class Rpc<Other extends Methods> {
  readonly #send: (message: Message) => void;
  readonly #methods: ReadonlyMap<string, (value: unknown) => unknown>;
  readonly #waiting = new Map<number, (answer: unknown) => void>();
  #calls = 0;
  #closed = false;

  /** @param send may throw once the other end is gone */
  constructor(send: (message: Message) => void, methods: Methods) {
    this.#send = send;
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the other end is the same executable, and calls with these types
    this.#methods = new Map(Object.entries(methods) as [string, (value: unknown) => unknown][]);
  }

  /** The answer, or undefined if none comes in time. Without a bound it waits until the connection closes. Never rejects. */
  async call<N extends keyof Other & string>(name: N, value: Argument<Other[N]>, boundMs?: number): Promise<Result<Other[N]> | undefined> {
    const id = (this.#calls += 1);
    let timer: ReturnType<typeof setTimeout> | undefined;
    const answer = await new Promise<unknown>((resolve) => {
      this.#waiting.set(id, resolve);
      if (boundMs !== undefined) timer = setTimeout(() => resolve(undefined), boundMs);
      this.#post({ id, method: name, value });
      if (this.#closed) resolve(undefined);
    });
    clearTimeout(timer);
    this.#waiting.delete(id);
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the other end is the same executable, and answers with these types
    return answer as Result<Other[N]> | undefined;
  }

  /** Takes a message of the other end. */
  receive(message: unknown): void {
    if (!isMessage(message)) return;
    const { id, method, value } = message;
    if (method === undefined) this.#waiting.get(id)?.(value);
    else void this.#answer(id, method, value);
  }

  /** The other end is gone, or about to go. All open calls end with undefined. */
  close(): void {
    this.#closed = true;
    for (const resolve of this.#waiting.values()) resolve(undefined);
  }

  async #answer(id: number, name: string, value: unknown): Promise<void> {
    const answer = await this.#methods.get(name)?.(value);
    this.#post({ id, value: answer });
  }

  #post(message: Message): void {
    if (this.#closed) return;
    try {
      this.#send(message);
    } catch {
      // The other end has ended, and the event for that is still to come.
      this.close();
    }
  }
}

function isMessage(message: unknown): message is Message {
  return typeof message === "object" && message !== null && "id" in message && typeof message.id === "number";
}
