import type { Message } from "../message.ts";
import type { Writable } from "node:stream";

/** Characters that may wait before the source is asked to stop. */
const MAX_WAITING = 262_144;

export interface LineOutputEvents {
  /** Called when too much waits. */
  readonly full: () => void;
  /** Called when everything is written again. */
  readonly drained: () => void;
  /** Called once, when nothing can be written any more. */
  readonly failed: (error: Error) => void;
}

/** Writes lines to a stream as fast as they are read: one write at a time, with all lines that came during the last one. */
export class LineOutput {
  /** Mark of the last written line. */
  written: string | null = null;
  readonly #stream: Writable;
  readonly #events: LineOutputEvents;
  #lines: string[] = [];
  #waiting = 0;
  #mark: string | null = null;
  #writing = false;
  #full = false;
  #failed = false;
  #settled: () => void = () => undefined;

  constructor(stream: Writable, events: LineOutputEvents) {
    this.#stream = stream;
    this.#events = events;
    stream.on("error", (error) => this.#fail(error));
  }

  /** @param mark value of `written` once the line is written */
  write(line: string, mark: string | null): void {
    if (this.#failed) return;
    this.#lines.push(line);
    this.#waiting += line.length + 1;
    this.#mark = mark;
    if (!this.#writing) {
      this.#writing = true;
      // All lines of one turn become one write.
      setImmediate(() => this.#flush());
    }
    if (this.#full || this.#waiting < MAX_WAITING) return;
    this.#full = true;
    this.#events.full();
  }

  /** True once nothing can be written any more. */
  get failed(): boolean {
    return this.#failed;
  }

  /** Resolves when no line waits any more, or none can be written. */
  settled(): Promise<void> {
    if (!this.#writing || this.#failed) return Promise.resolve();
    return new Promise((resolve) => {
      this.#settled = resolve;
    });
  }

  #flush(): void {
    if (this.#failed) return;
    const text = `${this.#lines.join("\n")}\n`;
    const mark = this.#mark;
    this.#lines = [];
    this.#waiting = 0;
    this.#stream.write(text, (error) => {
      if (error !== null && error !== undefined) {
        this.#fail(error);
        return;
      }
      this.written = mark;
      if (this.#lines.length > 0) {
        this.#flush();
        return;
      }
      this.#writing = false;
      this.#settled();
      if (!this.#full) return;
      this.#full = false;
      this.#events.drained();
    });
  }

  #fail(error: Error): void {
    if (this.#failed) return;
    this.#failed = true;
    this.#lines = [];
    this.#settled();
    this.#events.failed(error);
  }
}

/** Control characters except the tab: they end lines, or command a terminal. */
const CONTROL = /(?!\t)\p{Cc}/u;
/** Control characters that JSON does not escape. */
const UNESCAPED_CONTROL = /[\u007f-\u009f]/g;
/** Beginning of a line that holds a message as JSON. No other line begins so. */
const WRAPPED = '{"lockstep:';

/** Formats a message as one line without its end: as it is, or as JSON if it cannot be a line or looks like such JSON. */
export function plainLine(message: Message): string {
  if (typeof message !== "string") return json({ "lockstep:base64": base64(message) });
  return CONTROL.test(message) || message.startsWith(WRAPPED) ? json({ "lockstep:text": message }) : message;
}

/** Formats a message with its position, as in `GET /history`. */
export function jsonLine(message: Message, id: string | null): string {
  return json(typeof message === "string" ? { id, text: message } : { id, base64: base64(message) });
}

/** Formats JSON in one line without commands for a terminal. */
export function json(value: object): string {
  return JSON.stringify(value).replaceAll(UNESCAPED_CONTROL, (character) => `\\u00${character.charCodeAt(0).toString(16)}`);
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("base64");
}
