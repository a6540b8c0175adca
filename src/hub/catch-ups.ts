import type { History } from "../bus/bus.ts";
import type { LocalChannel } from "./local-channel.ts";

const MAX_RUNNING = 64;
const RETRY_MS = 50;

export interface CatchUpsOptions {
  history(): History;
  /** Whether a channel is still followed here. */
  wanted(local: LocalChannel): boolean;
  /** A channel that had lost its place was brought to the end of its log. */
  done(): void;
}

/** Channels whose log has to be read, some at a time, until each is live. Rests while subscriptions are not: what is published then would be missed. */
export class CatchUps {
  readonly #options: CatchUpsOptions;
  readonly #waiting = new Set<LocalChannel>();
  readonly #running = new Set<LocalChannel>();
  #resting = true;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(options: CatchUpsOptions) {
    this.#options = options;
  }

  add(local: LocalChannel): void {
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
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #run(): void {
    if (this.#resting || this.#timer !== undefined) return;
    for (const local of this.#waiting) {
      if (this.#running.size >= MAX_RUNNING) return;
      // One read of a channel at a time; the one under way ends with another look.
      if (this.#running.has(local)) continue;
      this.#waiting.delete(local);
      if (local.follower?.live === false && this.#options.wanted(local)) void this.#catchUp(local);
    }
  }

  async #catchUp(local: LocalChannel): Promise<void> {
    const { follower, kind, name } = local;
    if (follower === undefined || kind.history === undefined) return;
    this.#running.add(local);
    const settled = follower.position !== null;
    const { read, from } = follower.begin(kind.history.size);
    try {
      const page = await this.#options.history().read(name, kind.history, from);
      this.#running.delete(local);
      if (!follower.caughtUp(read, page)) this.#waiting.add(local);
      else if (settled) this.#options.done();
    } catch {
      // The bus is away, which it has logged.
      this.#running.delete(local);
      this.#waiting.add(local);
      if (!this.#resting) this.#timer ??= setTimeout(() => this.#retry(), RETRY_MS);
    }
    this.#run();
  }

  #retry(): void {
    this.#timer = undefined;
    this.#run();
  }
}
