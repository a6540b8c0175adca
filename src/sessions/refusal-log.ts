import type { Log } from "../log.ts";
import { TokenBucket } from "../lib/bounds.ts";

/** Lines a second, and twice that in a burst. */
const LINES_PER_SECOND = 10;
/** For so long a refusal is not said again. */
const QUIET_MS = 60_000;
/** Refusals that are remembered. */
const MAX_REMEMBERED = 2000;
const MAX_SHOWN = 200;
/** A JSON Web Token in a path, which must not be logged (RFC 7519 §3: its header is JSON, in base64url). */
const TOKEN = /eyJ[\w-]*(?:\.[\w-]*)+/g;

export interface Refusal {
  /** The name of the fault. */
  readonly reason: string;
  readonly detail: string;
  /** The subject of a token, where one was valid. */
  readonly subject: string | null;
  readonly address: string;
  /** Method and path, or the channel. */
  readonly where: string;
}

/** Logs refusals: each at most once a minute, and all together at a limited rate, so that strangers cannot fill the disk. */
export class RefusalLog {
  readonly #log: Log;
  readonly #lines = new TokenBucket(LINES_PER_SECOND);
  /** When each was said, the oldest first. */
  readonly #said = new Map<string, number>();
  #unsaid = 0;

  constructor(log: Log) {
    this.#log = log;
  }

  note({ reason, detail, subject, address, where }: Refusal): void {
    const place = shorten(where.replaceAll(TOKEN, "(a token)"));
    const who = subject === null ? { address } : { sub: shorten(subject), address };
    const key = JSON.stringify([reason, who, place]);
    const nowMs = Date.now();
    const saidMs = this.#said.get(key);
    if ((saidMs !== undefined && nowMs - saidMs < QUIET_MS) || !this.#lines.take()) {
      this.#unsaid += 1;
      return;
    }
    this.#said.delete(key);
    this.#said.set(key, nowMs);
    if (this.#said.size > MAX_REMEMBERED) for (const [oldest] of this.#said.entries().take(1)) this.#said.delete(oldest);
    this.#log.info("refused", { reason, ...who, where: place, detail, ...(this.#unsaid > 0 ? { unsaid: this.#unsaid } : {}) });
    this.#unsaid = 0;
  }
}

function shorten(text: string): string {
  return text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}…` : text;
}
