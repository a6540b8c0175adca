import type { Bus } from "../bus/bus.ts";
import { historyOf } from "../bus/bus.ts";
import type { Counts } from "../counts.ts";
import type { Retention } from "../position.ts";
import type { LogFollower } from "./log-follower.ts";

const MAX_RUNNING = 64;
/** Before a failed read is tried again. */
const RETRY_MS = 100;
/** Before the next page: clients have to read what they were sent. */
const PAGE_PAUSE_MS = 5;
/** After so long subscribers are not left to wait for the log any more. */
const GIVE_UP_MS = 5000;
/** About how much of a log is read, and sent to a client, at a time. */
export const PAGE_BYTES = 256 * 1024;

/** Owns a log that is followed here. */
export interface Followed {
  readonly name: string;
  readonly log: LogFollower | undefined;
  readonly retention: Retention | undefined;
  /** True while everything that is published is delivered here: what a read misses arrives. */
  readonly live: boolean;
  /** True once nobody follows it any more. */
  readonly closed: boolean;
  /** The log cannot be read, though the bus is there. */
  abandon(): void;
}

export interface RecoveryContext {
  readonly bus: Bus;
  readonly counts: Counts;
}

/** Reads the logs of channels that are behind, some at a time, until each is live. */
export class Recovery {
  readonly #context: RecoveryContext;
  readonly #waiting = new Set<Followed>();
  readonly #running = new Set<Followed>();
  /** Pauses before the next read. */
  readonly #timers = new Map<Followed, ReturnType<typeof setTimeout>>();
  /** Since when the log cannot be read, in milliseconds since 1970. */
  readonly #failingSinceMs = new Map<Followed, number>();
  #closed = false;

  constructor(context: RecoveryContext) {
    this.#context = context;
  }

  add(channel: Followed): void {
    if (this.#timers.has(channel)) return;
    this.#waiting.add(channel);
    this.#run();
  }

  /** Forgets a channel whose subscription is lost: it is added again once it is live. */
  delete(channel: Followed): void {
    this.#waiting.delete(channel);
    clearTimeout(this.#timers.get(channel));
    this.#timers.delete(channel);
    this.#failingSinceMs.delete(channel);
  }

  close(): void {
    this.#closed = true;
    this.#waiting.clear();
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
  }

  #run(): void {
    if (this.#closed) return;
    for (const channel of this.#waiting) {
      if (this.#running.size >= MAX_RUNNING) return;
      // One read of a channel at a time; the one under way ends with another look.
      if (this.#running.has(channel)) continue;
      this.#waiting.delete(channel);
      const { log, retention, live, closed } = channel;
      if (live && !closed && log?.live === false && retention !== undefined) void this.#read(channel, log, retention);
      else this.#failingSinceMs.delete(channel);
    }
  }

  async #read(channel: Followed, log: LogFollower, retention: Retention): Promise<void> {
    this.#running.add(channel);
    const hadPosition = log.position !== null;
    const { read, from } = log.begin(retention.size, PAGE_BYTES);
    try {
      const page = await historyOf(this.#context.bus).read(channel.name, retention, from);
      this.#running.delete(channel);
      this.#failingSinceMs.delete(channel);
      if (!log.caughtUp(read, page)) this.#addIn(PAGE_PAUSE_MS, channel);
      else if (hadPosition) this.#context.counts.catchUps += 1;
    } catch {
      // The bus has logged the reason.
      this.#running.delete(channel);
      this.#failed(channel);
    }
    this.#run();
  }

  #failed(channel: Followed): void {
    if (this.#closed || !channel.live) return;
    const nowMs = Date.now();
    // A failure while the bus is away says nothing about the log.
    const isReady = this.#context.bus.ready(channel.name);
    const sinceMs = (isReady ? this.#failingSinceMs.get(channel) : undefined) ?? nowMs;
    this.#failingSinceMs.set(channel, sinceMs);
    if (nowMs - sinceMs > GIVE_UP_MS) channel.abandon();
    this.#addIn(RETRY_MS, channel);
  }

  #addIn(ms: number, channel: Followed): void {
    if (this.#closed || !channel.live || channel.closed) return;
    const timer = setTimeout(() => {
      this.#timers.delete(channel);
      this.add(channel);
    }, ms);
    clearTimeout(this.#timers.get(channel));
    this.#timers.set(channel, timer);
  }
}
