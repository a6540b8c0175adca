import { styleText } from "node:util";

const stream = process.stderr;

/** Whether a terminal shows what is written there, and colours are wanted (https://no-color.org). */
export function isColoured(output: NodeJS.WriteStream): boolean {
  return styleText("red", "", { stream: output }) !== "";
}

/** The output of a command that ends by itself. A reader that has gone is no fault; a full disk is. */
export function print(text: string): void {
  process.stdout.once("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") return;
    complain(`standard output cannot be written (${error.code ?? error.message})`);
    process.exitCode = 1;
  });
  process.stdout.write(text);
}

/** What went wrong, one line each, on standard error. Coloured on a terminal only. */
export function complain(...lines: readonly string[]): void {
  stream.write(lines.map((line) => lineOf("red", line)).join(""));
}

/** What is good to know beside the output. */
export function mention(line: string): void {
  stream.write(lineOf("yellow", line));
}

/** It may hold what a server said, which may be anybody's: that must not tell a terminal what to do, nor look like another line. */
function lineOf(colour: "red" | "yellow", text: string): string {
  return `${styleText(colour, "lockstep:", { stream })} ${text.replaceAll(/\p{Cc}+/gu, " ")}\n`;
}
