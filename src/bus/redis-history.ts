import { ReplyError } from "ioredis";
import { Problem } from "../errors.ts";
import { describeError } from "../log.ts";
import type { Message } from "../message.ts";
import type { Retention } from "../position.ts";
import type { History, Page, ReadFrom, Sender } from "./bus.ts";
import { ChannelKeys } from "./channel-keys.ts";
import { checkOf, Evidence } from "./evidence.ts";
import { pageOf } from "./log-page.ts";
import { RedisAppends, type RedisAppendsOptions } from "./redis-appends.ts";
import { readScript } from "./redis-scripts.ts";

/** As in scripts/log.lua. */
const HEAD_TTL_MS = 24 * 3600 * 1000 + 60_000;
const VERIFY_BATCH = 256;
/** How long a log lives that somebody looked at before it had a message. */
const BRIEF_TTL_MS = 60_000;
const MAX_PAGE_BYTES = 2 ** 40;

type RedisHistoryOptions = Omit<RedisAppendsOptions, "evidence" | "freshEpoch">;

/** The logs of channels in Redis: streams, appended and published by one script; see scripts/log.lua. */
export class RedisHistory implements History {
  readonly evidence: Evidence;
  readonly appends: RedisAppends;
  readonly #options: RedisHistoryOptions;
  #epochs = 0;
  #unreadable = false;

  constructor(options: RedisHistoryOptions) {
    this.#options = options;
    this.evidence = new Evidence(() => options.followed());
    this.appends = new RedisAppends({ ...options, evidence: this.evidence, freshEpoch: () => this.freshEpoch() });
  }

  append(channel: string, message: Message, retention: Retention, sender: Sender, key?: string): void {
    this.appends.add(channel, message, retention, sender, key);
  }

  async read(channel: string, retention: Retention, from: ReadFrom): Promise<Page> {
    const { link, prefix, log } = this.#options;
    if (!link.up) throw new Problem("bus-away", "The bus is away.");
    const { since, limit, keepsAlive } = from;
    const keys = new ChannelKeys(prefix, channel);
    const doubted = this.evidence.doubted(channel);
    // What this instance has seen counts, also where the reader has not seen it: somebody was told that position. A client may
    // name one that never was: only where the reader knows the stamp has it seen the entry.
    const ofReader = since === undefined || from.stamp === undefined ? undefined : { ...since, stamp: from.stamp };
    const checks = [...this.evidence.of(channel), ...checkOf(ofReader)];
    const begin = since === undefined ? [] : [since.epoch, since.offset];
    const args = [this.freshEpoch(), BRIEF_TTL_MS, keepsAlive ? 1 : 0, retention.size, limit, Math.min(from.bytes, MAX_PAGE_BYTES)];
    let page: Page;
    try {
      page = pageOf(await this.#ask(keys, [...args, ...checks, ...begin]), from);
    } catch (error) {
      if (error instanceof Problem) throw error;
      if (!this.#unreadable) log.error("a log cannot be read", { channel, error: describeError(error) });
      this.#unreadable = true;
      throw new Problem("bus-away", "The channel's log cannot be read.");
    }
    this.#unreadable = false;
    this.evidence.trust(channel, doubted);
    if (page.start + page.messages.length >= page.head) this.evidence.saw(channel, page.epoch, page.head, page.stamp);
    return page;
  }

  /** @throws Problem `bus-away` where Redis did not answer; its own error where it refused */
  async #ask({ head, log }: ChannelKeys, args: readonly (string | number)[]): Promise<unknown> {
    try {
      return await readScript.run(this.#options.link.client, [head, log], args);
    } catch (error) {
      if (error instanceof ReplyError) throw error;
      throw new Problem("bus-away", "The bus did not answer.");
    }
  }

  /** Asks for all that is in doubt, also on channels that nobody asks for now. */
  async verify(): Promise<void> {
    const retention = { size: 1, ttlMs: 0 };
    const channels = this.evidence.inDoubt;
    for (let start = 0; start < channels.length; start += VERIFY_BATCH) {
      const reads = channels.slice(start, start + VERIFY_BATCH).map(async (channel) => {
        await this.read(channel, retention, { limit: 0, bytes: 0, keepsAlive: false });
      });
      await Promise.allSettled(reads);
      // The next connection goes on.
      if (!this.#options.link.up) return;
    }
  }

  renew(channels: readonly string[]): void {
    const { link, prefix, log } = this.#options;
    if (!link.up) return;
    const pipeline = link.client.pipeline();
    for (const channel of channels) pipeline.pexpire(new ChannelKeys(prefix, channel).head, HEAD_TTL_MS);
    pipeline.exec().catch((error: unknown) => log.debug("renewing failed", { error: describeError(error) }));
  }

  /** An epoch that nobody has used, for a log that has to begin anew. */
  freshEpoch(): string {
    return `${this.#options.instance}${(this.#epochs += 1).toString(36)}`;
  }
}
