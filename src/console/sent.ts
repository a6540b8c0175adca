/** How long an echo may take while the connection is there. */
const ECHO_MS = 15_000;

/**
 * What was sent and has not come back. A message's echo is its receipt; an envelope changes the text, so an echo is what is the text, or holds
 * it as a JSON string.
 */
export class Sent {
  #waiting: { readonly text: string; readonly atMs: number }[] = [];

  add(text: string, atMs: number): void {
    this.#forgetOld(atMs);
    this.#waiting.push({ text, atMs });
  }

  /** Whether a message is the echo of one of them, which then waits no longer. */
  takes(message: string): boolean {
    const index = this.#waiting.findIndex(({ text }) => message === text || isWrapped(text, message));
    if (index === -1) return false;
    this.#waiting.splice(index, 1);
    return true;
  }

  /** The connection is gone: what had its time to come back by then is not asked after any more. */
  lost(nowMs: number): void {
    this.#forgetOld(nowMs);
  }

  /** What was sent by a moment and nobody has confirmed since, oldest first; it is forgotten. */
  takeUntil(atMs: number): string[] {
    const taken = this.#waiting.filter((one) => one.atMs <= atMs);
    this.#waiting = this.#waiting.filter((one) => one.atMs > atMs);
    return taken.map(({ text }) => text);
  }

  #forgetOld(nowMs: number): void {
    this.#waiting = this.#waiting.filter(({ atMs }) => nowMs - atMs < ECHO_MS);
  }
}

function isWrapped(text: string, message: string): boolean {
  if (message.length <= text.length || !message.startsWith("{")) return false;
  return message.includes(JSON.stringify(text)) || (/^[{[]/.test(text) && message.includes(text));
}
