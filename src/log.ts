import { styleText } from "node:util";

export const logLevels = ["error", "warn", "info", "debug"] as const;
export type LogLevel = (typeof logLevels)[number];
export type LogFormat = "json" | "pretty";
type Fields = Readonly<Record<string, unknown>>;

const colours = { error: "red", warn: "yellow", info: "green", debug: "blue" } as const;

/** C1 control characters: JSON does not escape them, and a terminal obeys them (CWE-150). */
const CONTROL = /[\u007f-\u009f]/g;

/**
 * The log: one line a record, as JSON or for people. There is no logging library, because their worker threads and transports are of
 * no use in a single executable.
 */
export class Log {
  readonly #threshold: number;
  readonly #format: LogFormat;
  readonly #write: (line: string) => void;
  readonly #own: Fields;
  readonly #coloured: boolean;

  /**
   * @param own the fields of every line
   * @param coloured colours for a terminal, in the pretty format only
   */
  constructor(level: LogLevel, format: LogFormat, write: (line: string) => void, own: Fields = {}, coloured = false) {
    this.#threshold = logLevels.indexOf(level);
    this.#format = format;
    this.#write = write;
    this.#own = own;
    this.#coloured = coloured;
  }

  /** Writes a line at any level, because other programs wait for it. */
  announce(msg: string, fields?: Fields): void {
    this.#write(this.#line("info", msg, fields));
  }

  error(msg: string, fields?: Fields): void {
    this.#record("error", msg, fields);
  }

  warn(msg: string, fields?: Fields): void {
    this.#record("warn", msg, fields);
  }

  info(msg: string, fields?: Fields): void {
    this.#record("info", msg, fields);
  }

  debug(msg: string, fields?: Fields): void {
    this.#record("debug", msg, fields);
  }

  #record(level: LogLevel, msg: string, fields: Fields | undefined): void {
    if (logLevels.indexOf(level) <= this.#threshold) this.#write(this.#line(level, msg, fields));
  }

  #line(level: LogLevel, msg: string, fields: Fields = {}): string {
    const time = new Date().toISOString();
    const said = { ...this.#own, ...fields };
    if (this.#format === "json") return `${JSON.stringify({ time, level, msg, ...said })}\n`;
    const rest = Object.entries(said).map(([key, value]) => (value === undefined ? "" : ` ${key}=${JSON.stringify(value)}`));
    const word = level.toUpperCase().padEnd(5);
    return `${time} ${this.#coloured ? styleText(colours[level], word, { validateStream: false }) : word} ${msg}${rest.join("").replaceAll(CONTROL, escape)}\n`;
  }
}

function escape(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

/** Redis repeats the arguments of an unknown command, which may be messages or passwords (CWE-532). */
const ARGUMENTS = /, with args beginning with: .*/s;

/** A caught value as one line for the log. */
export function describeError(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}`.replace(ARGUMENTS, "").replaceAll("\n", " ") : String(error);
}
