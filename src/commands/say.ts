import { styleText } from "node:util";

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
