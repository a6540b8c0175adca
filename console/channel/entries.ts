import type { Word } from "../text/english.ts";

/** What the page says between two messages: that it joined, that the line was lost, and whether anything is missing. */
export interface Mark {
  readonly tone: "plain" | "good" | "warn";
  readonly word: Word;
  readonly values?: readonly string[];
  /** Of the close that it tells of. */
  readonly code?: number;
  readonly atMs: number;
}

/** A message as it came. */
export interface Arrival {
  readonly data: string | ArrayBuffer;
  readonly atMs: number;
  /** Null on channels without history. */
  readonly position: string | null;
  /** Whether it is the echo of what was sent here. */
  readonly own: boolean;
}

/** A line of a channel: a message, or what the page has to say between two. */
export type Entry = { readonly number: number } & ({ readonly arrival: Arrival } | { readonly mark: Mark });

/** What one channel keeps on the page: the newest, bounded by their number and by what they take. */
export class Entries {
  readonly #maxEntries: number;
  readonly #maxBytes: number;
  #kept: (Entry | undefined)[] = [];
  /** Where the oldest stands in `#kept`: to shift each time would move all others. */
  #head = 0;
  #bytes = 0;
  #next = 1;
  #droppedMessages = 0;

  /** @param maxBytes a character of a text counts as two, which is what it may take in memory */
  constructor(maxEntries: number, maxBytes: number) {
    this.#maxEntries = maxEntries;
    this.#maxBytes = maxBytes;
  }

  get size(): number {
    return this.#kept.length - this.#head;
  }

  /** The number of the oldest entry, or of the one that comes next. */
  get first(): number {
    return this.#next - this.size;
  }

  get next(): number {
    return this.#next;
  }

  /** How many messages had to go. */
  get dropped(): number {
    return this.#droppedMessages;
  }

  add(entry: { readonly arrival: Arrival } | { readonly mark: Mark }): void {
    const added: Entry = { ...entry, number: this.#next };
    this.#next += 1;
    this.#kept.push(added);
    this.#bytes += bytesOf(added);
    // The newest stays, however large.
    while (this.size > 1 && (this.size > this.#maxEntries || this.#bytes > this.#maxBytes)) this.#drop();
    if (this.#head > this.#maxEntries) this.#compact();
  }

  /** Those from a number on, oldest first, at most so many. */
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
    // What is dropped is let go of now, not when the list is next made short.
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
