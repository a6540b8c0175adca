export type PieceKind = "key" | "string" | "number" | "word" | "other";

/** A part of a text, with its role in JSON. */
export interface Piece {
  readonly kind: PieceKind;
  readonly text: string;
}

const TOKEN = /"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*|true|false|null|[{}[\],:]/g;
/** Most levels of indentation. Without a limit, 64 kB of "[" would become a gigabyte of spaces. */
const MAX_INDENT = 24;

/**
 * Lays out JSON (RFC 8259) on lines without changing a token: numbers keep their digits, and duplicate keys stay.
 *
 * @returns undefined unless the text is a JSON object or array
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
