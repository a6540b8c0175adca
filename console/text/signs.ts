/** Control and format characters, but for tabs and line breaks: they show nothing, or turn around and hide what stands beside them. */
const SIGNS = /(?:(?![\t\n]|\r\n)[\p{Cc}\p{Cf}])+/gu;

/** A part of a text as it is shown. */
export interface Shown {
  readonly text: string;
  /** Whether it stands for signs that would not be seen. */
  readonly escaped: boolean;
}

/** A text in parts, with its unseen signs as escapes, such as `\u202e`. */
export function revealed(text: string): Shown[] {
  const shown: Shown[] = [];
  let end = 0;
  for (const { 0: signs, index } of text.matchAll(SIGNS)) {
    if (index > end) shown.push({ text: text.slice(end, index), escaped: false });
    shown.push({ text: Array.from(signs, escapeOf).join(""), escaped: true });
    end = index + signs.length;
  }
  if (end < text.length) shown.push({ text: text.slice(end), escaped: false });
  return shown;
}

/** The same where only a text can stand. */
export function revealedText(text: string): string {
  return text.replace(SIGNS, (signs) => Array.from(signs, escapeOf).join(""));
}

function escapeOf(sign: string): string {
  const hex = (sign.codePointAt(0) ?? 0).toString(16);
  return hex.length > 4 ? `\\u{${hex}}` : `\\u${hex.padStart(4, "0")}`;
}
