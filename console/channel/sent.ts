/** Longest time from a message to its echo on a working connection, in milliseconds. */
const ECHO_MS = 15_000;

/**
 * Sent messages without an echo yet. The echo is the receipt. An envelope changes the text, so an echo is a message that equals the text
 * or contains it as a JSON string.
 */
export class Sent {
  #waiting: { readonly text: string; readonly atMs: number }[] = [];
  /** Texts sent on lost connections. */
  #doubtful: string[] = [];

  add(text: string, atMs: number): void {
    this.#forgetOld(atMs);
    this.#waiting.push({ text, atMs });
  }

  /**
   * Takes the text that a message is the echo of off the list. A text sent on an earlier connection is never confirmed: an equal text,
   * replayed or new, may be from another client.
   *
   * @returns false if the message is no echo
   */
  takes(message: string): boolean {
    const waiting = this.#waiting.findIndex(({ text }) => message === text || isWrapped(text, message));
    if (waiting !== -1) this.#waiting.splice(waiting, 1);
    return waiting !== -1;
  }

  /** Marks waiting texts as doubtful: they may never have arrived. Texts older than an echo takes are dropped. */
  lost(nowMs: number): void {
    this.#forgetOld(nowMs);
    this.#doubtful.push(...this.#waiting.map(({ text }) => text));
    this.#waiting = [];
  }

  /** The last text sent on a lost connection, if it is unconfirmed. */
  get lastDoubtful(): string | undefined {
    return this.#doubtful.at(-1);
  }

  /** Takes all unconfirmed texts of lost connections, oldest first. */
  takeDoubtful(): string[] {
    const doubtful = this.#doubtful;
    this.#doubtful = [];
    return doubtful;
  }

  #forgetOld(nowMs: number): void {
    this.#waiting = this.#waiting.filter(({ atMs }) => nowMs - atMs < ECHO_MS);
  }
}

function isWrapped(text: string, message: string): boolean {
  if (message.length <= text.length || !message.startsWith("{")) return false;
  return message.includes(JSON.stringify(text)) || (/^[{[]/.test(text) && message.includes(text));
}
