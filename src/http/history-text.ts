import type { Page } from "../bus/history.ts";
import type { Message } from "../message.ts";
import { formatPosition, type Position } from "../position.ts";

/** How much of an answer is made at a time, in characters. */
const PART_LENGTH = 16 * 1024;

/** What is said of a channel besides its messages. */
export interface HistoryHead {
  readonly channel: string;
  readonly position: string;
  readonly resumed: boolean | null;
}

/**
 * The answer of `/history` in parts, made as they are asked for: a short request may be for very much, and who asks may never read it.
 */
export class HistoryText {
  readonly #read: (since: Position) => Promise<Page>;
  /** The offset of the last message that is wanted. */
  readonly #last: number;
  #page: Page;
  /** Of the page, how many messages are in parts already. */
  #taken = 0;
  #text: string;
  #ended = false;

  /**
   * @param first where it begins
   * @param last the offset of the last message that is wanted
   * @param read the page after a position
   */
  constructor(head: HistoryHead, first: Page, last: number, read: (since: Position) => Promise<Page>) {
    this.#text = `${JSON.stringify(head).slice(0, -1)},"messages":[`;
    this.#page = first;
    this.#last = last;
    this.#read = read;
  }

  /** Whether the last part was given. */
  get ended(): boolean {
    return this.#ended;
  }

  /**
   * The next part.
   *
   * @throws Error where what comes next is not kept any more; Problem `bus-away`
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
        if (this.#page.resumed !== true || this.#page.messages.length === 0) throw new Error("what comes next is not kept any more");
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
