import type { History } from "../bus/history.ts";
import { PAGE_BYTES, type LocalChannel } from "./local-channel.ts";

const MAX_RUNNING = 64;
/** Before a read that failed is tried again. */
const RETRY_MS = 100;
/** Before the next page: clients have to read what they were sent. */
const PAGE_MS = 5;
/** After so long the clients of a channel are not left to wait for its log any more. */
const GIVE_UP_MS = 5000;

export interface CatchUpsOptions {
  history(): History;
  /** Whether the bus is there. */
  ready(): boolean;
  /** Whether a channel is still followed here. */
  wanted(local: LocalChannel): boolean;
  /** A channel that had lost its place was brought to the end of its log. */
  recovered(): void;
  /** The log of a channel cannot be had, though the bus is there. */
  unreadable(local: LocalChannel): void;
}

/** Channels whose log has to be read, some at a time, until each is live. Rests while subscriptions are not: what is published then would be missed. */
export class CatchUps {
  readonly #options: CatchUpsOptions;
  readonly #waiting = new Set<LocalChannel>();
  readonly #running = new Set<LocalChannel>();
  /** Those that wait for a while first. */
  readonly #timers = new Map<LocalChannel, ReturnType<typeof setTimeout>>();
  /** Since when the log of a channel cannot be read. */
  readonly #failingSinceMs = new Map<LocalChannel, number>();
  #resting = true;

  constructor(options: CatchUpsOptions) {
    this.#options = options;
  }

  add(local: LocalChannel): void {
    if (this.#timers.has(local)) return;
    this.#waiting.add(local);
    this.#run();
  }

  start(): void {
    this.#resting = false;
    this.#run();
  }

  rest(): void {
    this.#resting = true;
    this.#waiting.clear();
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
    this.#failingSinceMs.clear();
  }

  #run(): void {
    if (this.#resting) return;
    for (const local of this.#waiting) {
      if (this.#running.size >= MAX_RUNNING) return;
      // One read of a channel at a time; the one under way ends with another look.
      if (this.#running.has(local)) continue;
      this.#waiting.delete(local);
      if (local.follower?.live === false && this.#options.wanted(local)) void this.#catchUp(local);
      else this.#failingSinceMs.delete(local);
    }
  }

  async #catchUp(local: LocalChannel): Promise<void> {
    const { follower, kind, name } = local;
    if (follower === undefined || kind.history === undefined) return;
    this.#running.add(local);
    const settled = follower.position !== null;
    const { read, from } = follower.begin(kind.history.size, PAGE_BYTES);
    try {
      const page = await this.#options.history().read(name, kind.history, from);
      this.#running.delete(local);
      this.#failingSinceMs.delete(local);
      if (!follower.caughtUp(read, page)) this.#addIn(PAGE_MS, local);
      else if (settled) this.#options.recovered();
    } catch {
      // The bus has logged what it was.
      this.#running.delete(local);
      this.#failed(local);
    }
    this.#run();
  }

  #failed(local: LocalChannel): void {
    // It will be read anew, as all are.
    if (this.#resting) return;
    const nowMs = Date.now();
    // What fails while the bus is away says nothing of the log.
    const sinceMs = (this.#options.ready() ? this.#failingSinceMs.get(local) : undefined) ?? nowMs;
    this.#failingSinceMs.set(local, sinceMs);
    if (nowMs - sinceMs > GIVE_UP_MS) this.#options.unreadable(local);
    this.#addIn(RETRY_MS, local);
  }

  #addIn(ms: number, local: LocalChannel): void {
    if (this.#resting) return;
    const timer = setTimeout(() => {
      this.#timers.delete(local);
      this.add(local);
    }, ms);
    clearTimeout(this.#timers.get(local));
    this.#timers.set(local, timer);
  }
}
