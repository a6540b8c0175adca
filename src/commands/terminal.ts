import { UsageError } from "../errors.ts";
import { DURATION, durationMs } from "../lib/time.ts";
import { parseArgs, styleText } from "node:util";

const options = {
  config: { type: "string" },
  sub: { type: "string" },
  subscribe: { type: "string", multiple: true },
  publish: { type: "string", multiple: true },
  ttl: { type: "string" },
  since: { type: "string" },
  recent: { type: "string" },
  json: { type: "boolean" },
  timeout: { type: "string" },
  "idempotency-key": { type: "string" },
  help: { type: "boolean", short: "h" },
  version: { type: "boolean", short: "v" },
} as const;

export type Options = ReturnType<typeof parseWords>["values"];

/** Options and other words of a command line. @throws UsageError */
export function parseWords(words: readonly string[]) {
  try {
    return parseArgs({ args: [...words], allowPositionals: true, options });
  } catch (error) {
    const [what = ""] = (error instanceof Error ? error.message : String(error)).split(/\. |\n/);
    throw new UsageError(
      `${what.charAt(0).toLowerCase()}${what.slice(1)}; see lockstep --help (what only begins with a dash stands after --)`,
    );
  }
}

/** The words, if their number is right. @throws UsageError with `otherwise` */
export function expectWords(words: readonly string[], count: number, otherwise: string): readonly string[] {
  if (words.length !== count) throw new UsageError(otherwise);
  return words;
}

/** A duration over 0 in milliseconds, from the text of an option. @throws UsageError */
export function parseWait(option: string, text: string): number {
  const ms = new RegExp(DURATION).test(text) ? durationMs(text) : 0;
  if (ms === 0) throw new UsageError(`${option} takes digits and ms, s, m, h or d, as in 1h, not ${JSON.stringify(text)}`);
  return ms;
}

const stream = process.stderr;

/** The stream is a terminal that wants colours (https://no-color.org). */
export function isColoured(output: NodeJS.WriteStream): boolean {
  return styleText("red", "", { stream: output }) !== "";
}

/** Writes the output of a command that ends by itself. A closed pipe is no fault, a full disk is one. */
export function print(text: string): void {
  process.stdout.once("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") return;
    complain(`standard output cannot be written (${error.code ?? error.message})`);
    process.exitCode = 1;
  });
  process.stdout.write(text);
}

/** Writes a help text. A terminal shows its headings in bold. */
export function writeHelp(text: string): void {
  print(text.replaceAll(/^[A-Z][A-Za-z ]*:/gm, (heading) => styleText("bold", heading, { stream: process.stdout })));
}

/** Writes faults to standard error, one line each. */
export function complain(...lines: readonly string[]): void {
  stream.write(lines.map((line) => lineOf("red", line)).join(""));
}

/** Writes a notice to standard error. */
export function mention(line: string): void {
  stream.write(lineOf("yellow", line));
}

/** Formats one line. Text of a foreign server must not control the terminal, nor look like a line of its own (CWE-150). */
function lineOf(colour: "red" | "yellow", text: string): string {
  return `${styleText(colour, "lockstep:", { stream })} ${text.replaceAll(/\p{Cc}+/gu, " ")}\n`;
}
