/**
 * The log: one line a record on standard output, JSON or for eyes. A logging library would bring worker threads and
 * transports, which a single executable has no use for.
 */

export const logLevels = ["error", "warn", "info", "debug"] as const;
export type LogLevel = (typeof logLevels)[number];
export type LogFormat = "json" | "pretty";
type Fields = Readonly<Record<string, unknown>>;

export class Log {
  readonly #threshold: number;
  readonly #format: LogFormat;
  readonly #write: (line: string) => void;

  constructor(level: LogLevel, format: LogFormat, write: (line: string) => void) {
    this.#threshold = logLevels.indexOf(level);
    this.#format = format;
    this.#write = write;
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

  #record(level: LogLevel, msg: string, fields: Fields = {}): void {
    if (logLevels.indexOf(level) > this.#threshold) return;
    const time = new Date().toISOString();
    if (this.#format === "json") {
      this.#write(`${JSON.stringify({ time, level, msg, ...fields })}\n`);
      return;
    }
    const rest = Object.entries(fields).map(([key, value]) => ` ${key}=${JSON.stringify(value)}`);
    this.#write(`${time} ${level.toUpperCase().padEnd(5)} ${msg}${rest.join("")}\n`);
  }
}

/** What a caught value says, in one line, for the log. */
export function describeError(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}`.replaceAll("\n", " ") : String(error);
}
