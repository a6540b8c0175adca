export type PieceKind = "key" | "string" | "number" | "word" | "other";

/** A part of a text, and what of JSON it is. */
export interface Piece {
  readonly kind: PieceKind;
  readonly text: string;
}

const TOKEN = /"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*|true|false|null|[{}[\],:]/g;
/** Levels that are set in. Without an end to it, 64 kB of "[" would become a gigabyte of spaces. */
const MAX_INDENT = 24;

/**
 * JSON (RFC 8259) on lines of its own, its tokens as they stood: numbers keep their digits, and keys that come twice stay two. Undefined
 * for what is no JSON, or is only a word or a number.
 */
export function prettyJson(text: string): Piece[] | undefined {
  if (!/^\s*[{[]/.test(text) || !isJson(text)) return undefined;
  const tokens = text.match(TOKEN) ?? [];
  const pieces: Piece[] = [];
  let depth = 0;
  const newLine = (): void => void pieces.push({ kind: "other", text: `\n${"  ".repeat(Math.min(depth, MAX_INDENT))}` });
  tokens.forEach((token, index) => {
    const next = tokens[index + 1];
    if (token === "{" || token === "[") {
      pieces.push({ kind: "other", text: token });
      depth += 1;
      if (next !== "}" && next !== "]") newLine();
    } else if (token === "}" || token === "]") {
      depth -= 1;
      const before = tokens[index - 1];
      if (before !== "{" && before !== "[") newLine();
      pieces.push({ kind: "other", text: token });
    } else if (token === ",") {
      pieces.push({ kind: "other", text: token });
      newLine();
    } else if (token === ":") pieces.push({ kind: "other", text: ": " });
    else pieces.push({ kind: kindOf(token, next), text: token });
  });
  return pieces;
}

function kindOf(token: string, next: string | undefined): PieceKind {
  if (token.startsWith('"')) return next === ":" ? "key" : "string";
  return /^[tfn]/.test(token) ? "word" : "number";
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
