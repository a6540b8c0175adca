import { Problem } from "../../errors.ts";
import { byteLength, type Message } from "../../message.ts";
import type { Position, Retention } from "../../position.ts";
import type { BusListener } from "../bus.ts";
import type { Sender } from "../publisher.ts";
import type { History, Page, ReadFrom } from "../history.ts";

const HEAD_TTL_MS = 24 * 3600 * 1000;
/** Lifetime of a log that somebody looked at before it had a message. */
const BRIEF_TTL_MS = 60_000;
const ONCE_TTL_MS = 60_000;
const SWEEP_MS = 5000;

interface Log {
  readonly epoch: string;
  offset: number;
  /** The newest ones; the last has the offset of the log. */
  messages: Message[];
  emptyAtMs: number;
  endsAtMs: number;
}

/** The logs of channels in this process; they live as long as it does. */
export class MemoryHistory implements History {
  readonly #listener: BusListener;
  readonly #logs = new Map<string, Log>();
  /** Positions published under idempotency keys, the oldest first. */
  readonly #once = new Map<string, { readonly position: Position; readonly untilMs: number }>();
  readonly #timer = setInterval(() => this.#sweep(), SWEEP_MS);
  #closed = false;

  constructor(listener: BusListener) {
    this.#listener = listener;
  }

  append(channel: string, message: Message, retention: Retention, sender: Sender, key?: string): void {
    if (this.#closed) {
      sender.refused(new Problem("bus-away", "The server is shutting down."));
      return;
    }
    const nowMs = Date.now();
    const once = key === undefined ? undefined : JSON.stringify([channel, key]);
    const known = once === undefined ? undefined : this.#once.get(once);
    if (known !== undefined && known.untilMs > nowMs) {
      sender.confirmed(known.position);
      return;
    }
    const log = this.#log(channel, nowMs, true);
    log.offset += 1;
    log.messages.push(message);
    // Cut now and then: an array's own shift moves everything each time.
    if (log.messages.length >= 2 * retention.size) log.messages = log.messages.slice(-retention.size);
    log.emptyAtMs = nowMs + retention.ttlMs;
    const position = { epoch: log.epoch, offset: log.offset };
    if (once !== undefined) {
      this.#once.delete(once);
      this.#once.set(once, { position, untilMs: nowMs + ONCE_TTL_MS });
    }
    this.#listener.deliverEntries(channel, { epoch: log.epoch, first: log.offset, messages: [message] });
    sender.confirmed(position);
  }

  read(channel: string, retention: Retention, { since, limit, bytes, keepsAlive }: ReadFrom): Promise<Page> {
    const { epoch, offset, messages } = this.#log(channel, Date.now(), keepsAlive);
    const kept = messages.slice(-retention.size);
    const oldest = offset - kept.length;
    const resumed = since !== undefined && since.epoch === epoch && since.offset <= offset && since.offset >= oldest;
    let start = oldest;
    if (since === undefined) start = Math.max(oldest, offset - limit);
    else if (resumed) start = since.offset;
    const page: Message[] = [];
    for (let at = start - oldest, left = bytes; at < kept.length && page.length < limit && left > 0; at += 1) {
      const message = kept[at] ?? "";
      page.push(message);
      left -= byteLength(message);
    }
    return Promise.resolve({ epoch, head: offset, resumed: since === undefined ? null : resumed, start, messages: page });
  }

  renew(channels: readonly string[]): void {
    for (const channel of channels) this.#log(channel, Date.now(), true);
  }

  close(): void {
    this.#closed = true;
    clearInterval(this.#timer);
  }

  #log(channel: string, nowMs: number, keepsAlive: boolean): Log {
    let log = this.#logs.get(channel);
    if (log === undefined) {
      log = { epoch: crypto.randomUUID().replaceAll("-", ""), offset: 0, messages: [], emptyAtMs: 0, endsAtMs: 0 };
      this.#logs.set(channel, log);
    } else if (log.emptyAtMs <= nowMs) log.messages = [];
    log.endsAtMs = Math.max(log.endsAtMs, nowMs + (keepsAlive ? HEAD_TTL_MS : BRIEF_TTL_MS));
    return log;
  }

  #sweep(): void {
    const nowMs = Date.now();
    for (const [channel, log] of this.#logs) {
      if (log.endsAtMs <= nowMs) this.#logs.delete(channel);
      else if (log.emptyAtMs <= nowMs) log.messages = [];
    }
    for (const [key, { untilMs }] of this.#once) {
      if (untilMs > nowMs) break;
      this.#once.delete(key);
    }
  }
}
