/** How long an echo may take while the connection is there. */
const ECHO_MS = 15_000;

/**
 * What was sent and has not come back. A message's echo is its receipt; an envelope changes the text, so an echo is what is the text, or holds
 * it as a JSON string.
 */
export class Sent {
  #waiting: { readonly text: string; readonly atMs: number }[] = [];
  /** Sent on a connection that is gone. */
  #doubtful: string[] = [];

  add(text: string, atMs: number): void {
    this.#forgetOld(atMs);
    this.#waiting.push({ text, atMs });
  }

  /**
   * Whether a message is the echo of one of them, which then waits no longer. Of what an earlier connection sent it says nothing: an equal
   * text, replayed or new, may be another client's.
   */
  takes(message: string): boolean {
    const waiting = this.#waiting.findIndex(({ text }) => message === text || isWrapped(text, message));
    if (waiting !== -1) this.#waiting.splice(waiting, 1);
    return waiting !== -1;
  }

  /** The connection is gone: what waits may never have arrived. What had its time to come back by then is not asked after. */
  lost(nowMs: number): void {
    this.#forgetOld(nowMs);
    this.#doubtful.push(...this.#waiting.map(({ text }) => text));
    this.#waiting = [];
  }

  /** What was sent last on a connection that is gone, and has not come back. */
  get lastDoubtful(): string | undefined {
    return this.#doubtful.at(-1);
  }

  /** What was sent on connections that are gone and has not come back, oldest first; it is forgotten. */
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
