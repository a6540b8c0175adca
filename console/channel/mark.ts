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
