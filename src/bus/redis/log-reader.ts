import { Problem } from "../../errors.ts";
import { describeError } from "../../log.ts";
import type { Retention } from "../../position.ts";
import type { Page, ReadFrom } from "../history.ts";
import { isRefusal } from "./connection.ts";
import type { ShardContext } from "./context.ts";
import { fromCheckpoint } from "./frame.ts";
import type { ChannelKeys } from "./keys.ts";
import { pageOf } from "./log-page.ts";
import { expectedOf } from "./loss-detector.ts";
import { readScript } from "./scripts.ts";

/** As in lua/log.lua. */
const HEAD_TTL_MS = 24 * 3600 * 1000 + 60_000;
const VERIFY_BATCH = 256;
/** Lifetime of a log that somebody looked at before it had a message. */
const BRIEF_TTL_MS = 60_000;
const MAX_PAGE_BYTES = 2 ** 40;

/** Reads the logs of channels in Redis: streams, which lua/log.lua describes. */
export class LogReader {
  readonly #context: ShardContext;
  #unreadable = false;

  constructor(context: ShardContext) {
    this.#context = context;
  }

  /** See `History.read`. */
  async read(channel: string, retention: Retention, from: ReadFrom): Promise<Page> {
    const { publisher, losses, bus } = this.#context;
    if (!publisher.up) throw new Problem("bus-away", "The bus is away.");
    const { since, limit, keepsAlive } = from;
    const checkpoint = fromCheckpoint(from.checkpoint);
    const unproven = losses.unproven(channel);
    // Entries that this instance saw count, also where the reader did not see them: somebody knows that position. A client may
    // name one that never was: only a reader that knows the checkpoint has seen the entry.
    const ofReader = since === undefined || checkpoint === undefined ? undefined : { ...since, checkpoint };
    const expected = [...losses.expectedByRead(channel), ...expectedOf(ofReader)];
    const begin = since === undefined ? [] : [since.epoch, since.offset];
    const bytes = Math.min(from.bytes, MAX_PAGE_BYTES);
    const args = [this.#context.freshEpoch(), BRIEF_TTL_MS, keepsAlive ? 1 : 0, retention.size, limit, bytes, ...expected, ...begin];
    let page: Page;
    try {
      page = pageOf(await this.#ask(this.#context.keys(channel), args), from);
    } catch (error) {
      if (error instanceof Problem) throw error;
      if (!this.#unreadable) bus.log.error("a log cannot be read", { channel, error: describeError(error) });
      this.#unreadable = true;
      throw new Problem("bus-away", "The channel's log cannot be read.");
    }
    this.#unreadable = false;
    losses.proven(channel, unproven);
    if (page.start + page.messages.length >= page.head) {
      losses.saw(losses.about(channel), page.epoch, page.head, fromCheckpoint(page.checkpoint) ?? 0);
    }
    return page;
  }

  /** Asks for everything that is unproven, also on channels that nobody asks for now. */
  async verify(): Promise<void> {
    const retention = { size: 1, ttlMs: 0 };
    const channels = this.#context.losses.unprovenChannels;
    for (let start = 0; start < channels.length; start += VERIFY_BATCH) {
      const reads = channels.slice(start, start + VERIFY_BATCH).map(async (channel) => {
        await this.read(channel, retention, { limit: 0, bytes: 0, keepsAlive: false });
      });
      await Promise.allSettled(reads);
      // The next connection continues.
      if (!this.#context.publisher.up) return;
    }
  }

  /** See `History.renew`. */
  renew(channels: readonly string[]): void {
    const { publisher } = this.#context;
    if (!publisher.up) return;
    publisher.expire(
      channels.map((channel) => this.#context.keys(channel).head),
      HEAD_TTL_MS,
    );
  }

  /** @throws Problem `bus-away` where Redis did not answer; its own error where it refused */
  async #ask({ head, log }: ChannelKeys, args: readonly (string | number)[]): Promise<unknown> {
    try {
      return await this.#context.publisher.run(readScript, [head, log], args);
    } catch (error) {
      if (isRefusal(error)) throw error;
      throw new Problem("bus-away", "The bus did not answer.");
    }
  }
}
