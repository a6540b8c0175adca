/** Control and format characters except tabs and line breaks: they are invisible, or reverse or hide the text beside them. */
const HIDDEN = /(?:(?![\t\n]|\r\n)[\p{Cc}\p{Cf}])+/gu;

/** A part of a shown text. */
export interface Shown {
  readonly text: string;
  /** It replaces hidden characters. */
  readonly escaped: boolean;
}

/** Splits a text into parts, with hidden characters as escapes, such as `\u202e`. */
export function revealed(text: string): Shown[] {
  const shown: Shown[] = [];
  let end = 0;
  for (const { 0: hidden, index } of text.matchAll(HIDDEN)) {
    if (index > end) shown.push({ text: text.slice(end, index), escaped: false });
    shown.push({ text: Array.from(hidden, escapeOf).join(""), escaped: true });
    end = index + hidden.length;
  }
  if (end < text.length) shown.push({ text: text.slice(end), escaped: false });
  return shown;
}

/** Escapes hidden characters where only a text is possible. */
export function revealedText(text: string): string {
  return text.replace(HIDDEN, (hidden) => Array.from(hidden, escapeOf).join(""));
}

function escapeOf(character: string): string {
  const hex = (character.codePointAt(0) ?? 0).toString(16);
  return hex.length > 4 ? `\\u{${hex}}` : `\\u${hex.padStart(4, "0")}`;
}
