import type { Page } from "../../bus/history.ts";
import type { Message } from "../../message.ts";
import { formatPosition, type Position } from "../../position.ts";

/** Size of a part, in characters. */
const PART_LENGTH = 16 * 1024;

/** The fields of the answer before its messages. */
export interface HistoryHead {
  readonly channel: string;
  readonly position: string;
  readonly resumed: boolean | null;
}

/**
 * The answer of `/history` in parts, each produced on demand. A short request may ask for a large answer, and its client may never read it.
 */
export class HistoryText {
  readonly #read: (since: Position) => Promise<Page>;
  /** The offset of the last message of the answer. */
  readonly #last: number;
  #page: Page;
  /** The number of messages of the page that are in parts already. */
  #taken = 0;
  #text: string;
  #ended = false;

  /**
   * @param first the first page
   * @param last the offset of the last message of the answer
   * @param read reads the page after a position
   */
  constructor(head: HistoryHead, first: Page, last: number, read: (since: Position) => Promise<Page>) {
    this.#text = `${JSON.stringify(head).slice(0, -1)},"messages":[`;
    this.#page = first;
    this.#last = last;
    this.#read = read;
  }

  /** True once `next()` has returned the last part. */
  get ended(): boolean {
    return this.#ended;
  }

  /**
   * Returns the next part.
   *
   * @throws Error if the next messages are no longer kept; Problem `bus-away`
   */
  async next(): Promise<string> {
    while (this.#text.length < PART_LENGTH) {
      const { epoch, start, messages } = this.#page;
      const offset = start + this.#taken;
      const message = messages[this.#taken];
      if (offset >= this.#last) {
        this.#ended = true;
        this.#text += "]}";
        break;
      }
      if (message === undefined) {
        this.#page = await this.#read({ epoch, offset });
        this.#taken = 0;
        if (this.#page.resumed !== true || this.#page.messages.length === 0) throw new Error("the next messages are no longer kept");
      } else {
        this.#taken += 1;
        this.#text += inJson(formatPosition(epoch, offset + 1), message);
        if (offset + 1 < this.#last) this.#text += ",";
      }
    }
    const text = this.#text;
    this.#text = "";
    return text;
  }
}

function inJson(id: string, message: Message): string {
  return JSON.stringify(typeof message === "string" ? { id, text: message } : { id, base64: Buffer.from(message).toString("base64") });
}
