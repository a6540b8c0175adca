/**
 * What one end of a line answers, by name. No answer is undefined, which stands for none. An answer that throws ends its process:
 * the other end sees that.
 */
export type Answers = Readonly<Record<string, (value: never) => unknown>>;

type Argument<F extends (value: never) => unknown> = Parameters<F>[0];
type Answer<F extends (value: never) => unknown> = Awaited<ReturnType<F>>;

interface Message {
  readonly id: number;
  /** The name of a question; left out in an answer. */
  readonly ask?: string;
  readonly value: unknown;
}

/**
 * Questions and answers between two processes of the same executable, in both directions. Questions arrive in the order in which they
 * were asked.
 */
export class Line<Other extends Answers> {
  readonly #send: (message: Message) => void;
  readonly #own: ReadonlyMap<string, (value: unknown) => unknown>;
  readonly #waiting = new Map<number, (answer: unknown) => void>();
  #asked = 0;
  #closed = false;

  /** @param send may throw once the other end has gone */
  constructor(send: (message: Message) => void, own: Answers) {
    this.#send = send;
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the other end is the same executable, and asks by these types
    this.#own = new Map(Object.entries(own) as [string, (value: unknown) => unknown][]);
  }

  /** The answer, or undefined where none comes in time or at all. Without a bound it waits until the line closes. */
  async ask<N extends keyof Other & string>(name: N, value: Argument<Other[N]>, boundMs?: number): Promise<Answer<Other[N]> | undefined> {
    const id = (this.#asked += 1);
    let timer: ReturnType<typeof setTimeout> | undefined;
    const answer = await new Promise<unknown>((resolve) => {
      this.#waiting.set(id, resolve);
      if (boundMs !== undefined) timer = setTimeout(() => resolve(undefined), boundMs);
      this.#tell({ id, ask: name, value });
      if (this.#closed) resolve(undefined);
    });
    clearTimeout(timer);
    this.#waiting.delete(id);
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the other end is the same executable, and answers by these types
    return answer as Answer<Other[N]> | undefined;
  }

  /** Takes what the other end sent. */
  receive(message: unknown): void {
    if (!isMessage(message)) return;
    const { id, ask, value } = message;
    if (ask === undefined) this.#waiting.get(id)?.(value);
    else void this.#answer(id, ask, value);
  }

  /** The other end has gone, or is about to: nothing that waits will be answered. */
  close(): void {
    this.#closed = true;
    for (const resolve of this.#waiting.values()) resolve(undefined);
  }

  async #answer(id: number, name: string, value: unknown): Promise<void> {
    const answer = await this.#own.get(name)?.(value);
    this.#tell({ id, value: answer });
  }

  #tell(message: Message): void {
    if (this.#closed) return;
    try {
      this.#send(message);
    } catch {
      // It has ended, and its end has not been told yet.
      this.close();
    }
  }
}

function isMessage(message: unknown): message is Message {
  return typeof message === "object" && message !== null && "id" in message && typeof message.id === "number";
}
