import type { TextKey } from "../text/english.ts";

/** A note of the page between two messages: it joined, it lost the connection, messages may be missing. */
export interface Mark {
  readonly tone: "plain" | "good" | "warn";
  readonly word: TextKey;
  readonly values?: readonly string[];
  /** Close code of a lost connection. */
  readonly code?: number;
  readonly atMs: number;
}

/** A message that arrived. */
export interface Arrival {
  readonly data: string | ArrayBuffer;
  readonly atMs: number;
  /** Null on channels without history. */
  readonly position: string | null;
  /** It is the echo of a message sent here. */
  readonly own: boolean;
}

/** A line of a channel. */
export type Entry = { readonly number: number } & ({ readonly arrival: Arrival } | { readonly mark: Mark });

/** The newest entries of a channel, bounded in number and in memory. */
export class Entries {
  readonly #maxEntries: number;
  readonly #maxBytes: number;
  #kept: (Entry | undefined)[] = [];
  /** Index of the oldest in `#kept`; shifting the array each time would move all others. */
  #head = 0;
  #bytes = 0;
  #next = 1;
  #droppedMessages = 0;

  /** @param maxBytes a character counts as two bytes, which it may take in memory */
  constructor(maxEntries: number, maxBytes: number) {
    this.#maxEntries = maxEntries;
    this.#maxBytes = maxBytes;
  }

  get size(): number {
    return this.#kept.length - this.#head;
  }

  /** Number of the oldest entry, or of the next one if there is none. */
  get first(): number {
    return this.#next - this.size;
  }

  get next(): number {
    return this.#next;
  }

  /** Count of the messages that were dropped. */
  get dropped(): number {
    return this.#droppedMessages;
  }

  add(entry: { readonly arrival: Arrival } | { readonly mark: Mark }): void {
    const added: Entry = { ...entry, number: this.#next };
    this.#next += 1;
    this.#kept.push(added);
    this.#bytes += bytesOf(added);
    // The newest entry stays, however large.
    while (this.size > 1 && (this.size > this.#maxEntries || this.#bytes > this.#maxBytes)) this.#drop();
    if (this.#head > this.#maxEntries) this.#compact();
  }

  /** Returns at most `most` entries from a number on, oldest first. */
  from(number: number, most: number): readonly Entry[] {
    const start = this.#head + Math.max(0, number - this.first);
    return this.#kept.slice(start, start + most).filter((entry) => entry !== undefined);
  }

  clear(): void {
    this.#kept = [];
    this.#head = 0;
    this.#bytes = 0;
    this.#droppedMessages = 0;
  }

  #drop(): void {
    const oldest = this.#kept[this.#head];
    if (oldest === undefined) return;
    this.#bytes -= bytesOf(oldest);
    if ("arrival" in oldest) this.#droppedMessages += 1;
    // Frees the memory now; `#compact` may come much later.
    this.#kept[this.#head] = undefined;
    this.#head += 1;
  }

  #compact(): void {
    this.#kept = this.#kept.slice(this.#head);
    this.#head = 0;
  }
}

function bytesOf(entry: Entry): number {
  if (!("arrival" in entry)) return 0;
  const { data } = entry.arrival;
  return typeof data === "string" ? 2 * data.length : data.byteLength;
}
