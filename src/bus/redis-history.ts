import { ReplyError } from "ioredis";
import type { Counts } from "../counts.ts";
import { Problem } from "../errors.ts";
import { describeError, type Log } from "../log.ts";
import type { Message } from "../message.ts";
import { formatPosition, type Retention } from "../position.ts";
import type { Allowance } from "./allowance.ts";
import { AppendQueue, type AppendBatch } from "./append-queue.ts";
import type { History, Page, ReadFrom, Sender } from "./bus.ts";
import { ChannelKeys } from "./channel-keys.ts";
import { checkOf, Evidence, type Mark } from "./evidence.ts";
import { encodeEntry } from "./frame.ts";
import { pageOf } from "./log-page.ts";
import type { RedisLink } from "./redis-link.ts";
import { appendScript, isMissingScript, readScript } from "./redis-scripts.ts";

const HEAD_TTL_MS = 24 * 3600 * 1000;
const ONCE_TTL_MS = 60_000;
/** How much longer than any retry the log remembers an instance's last batch. */
const LAST_TTL_MS = 600_000;
const VERIFY_BATCH = 256;
/** How long a log lives that somebody looked at before it had a message. */
const BRIEF_TTL_MS = 60_000;
const MAX_PAGE_BYTES = 2 ** 40;

/** An error or nothing, and what Redis answered. */
type Answer = readonly [error: unknown, answer: unknown];
const NO_ANSWER: Answer = [new Error("there was no answer"), undefined];

export interface RedisHistoryOptions {
  readonly link: RedisLink;
  readonly prefix: string;
  /** Names this instance among all; letters and digits, always as many. */
  readonly instance: string;
  readonly allowance: Allowance;
  readonly log: Log;
  readonly counts: Counts;
  /** Whether to write now, or to let messages wait. */
  ready(): boolean;
}

/** The logs of channels in Redis: streams, appended and published by one script; see scripts/log.lua. */
export class RedisHistory implements History {
  readonly #options: RedisHistoryOptions;
  readonly #queue: AppendQueue;
  readonly evidence = new Evidence();
  /** What was in doubt when a batch was written, and is settled by its answer. */
  readonly #checked = new WeakMap<AppendBatch, Mark | undefined>();
  #epochs = 0;
  #flushing = false;
  #closed = false;
  #refusing = false;
  #unreadable = false;

  constructor(options: RedisHistoryOptions) {
    this.#options = options;
    this.#queue = new AppendQueue(options.allowance, () => this.resume());
  }

  append(channel: string, message: Message, retention: Retention, sender: Sender, key?: string): void {
    if (this.#closed) {
      sender.refused(new Problem("bus-away", "The server is shutting down."));
      return;
    }
    this.#queue.add(channel, retention, encodeEntry(message), key, sender, !this.#options.ready());
    if (this.#flushing) return;
    // Everything that arrives in one turn of the event loop goes out in one write.
    this.#flushing = true;
    setImmediate(() => {
      this.#flushing = false;
      this.#flush();
    });
  }

  async read(channel: string, retention: Retention, from: ReadFrom): Promise<Page> {
    const { link, log } = this.#options;
    if (!link.up) throw new Problem("bus-away", "The bus is away.");
    const { since, limit, keepsAlive } = from;
    const keys = this.keys(channel);
    const doubted = this.evidence.doubted(channel);
    // What this instance has seen counts, also where the reader has not seen it: somebody was told that position. A client may
    // name one that never was: only where the reader knows the stamp has it seen the entry.
    const ofReader = since === undefined || from.stamp === undefined ? undefined : { ...since, stamp: from.stamp };
    const checks = [...this.evidence.of(channel), ...checkOf(ofReader)];
    const begin = since === undefined ? [] : [since.epoch, since.offset];
    const args = [this.freshEpoch(), BRIEF_TTL_MS, keepsAlive ? 1 : 0, retention.size, limit, Math.min(from.bytes, MAX_PAGE_BYTES)];
    try {
      const page = pageOf(await readScript.run(link.client, [keys.head, keys.log], [...args, ...checks, ...begin]), since, limit);
      this.#unreadable = false;
      this.evidence.trust(channel, doubted);
      if (page.start + page.messages.length >= page.head) this.evidence.saw(channel, page.epoch, page.head, page.stamp);
      return page;
    } catch (error) {
      const lost = !link.up;
      if (!lost && !this.#unreadable) log.error("a log cannot be read", { channel, error: describeError(error) });
      this.#unreadable ||= !lost;
      throw new Problem("bus-away", "The bus did not answer.");
    }
  }

  /** Asks for all that is in doubt, also on channels that nobody asks for now. */
  async verify(): Promise<void> {
    const retention = { size: 1, ttlMs: 0 };
    const channels = this.evidence.inDoubt;
    for (let start = 0; start < channels.length; start += VERIFY_BATCH) {
      const reads = channels.slice(start, start + VERIFY_BATCH).map(async (channel) => {
        await this.read(channel, retention, { limit: 1, bytes: 1, keepsAlive: false });
      });
      await Promise.allSettled(reads);
      // The next connection goes on.
      if (!this.#options.link.up) return;
    }
  }

  renew(channels: readonly string[]): void {
    if (!this.#options.link.up) return;
    const pipeline = this.#options.link.client.pipeline();
    for (const channel of channels) pipeline.pexpire(this.keys(channel).head, HEAD_TTL_MS);
    pipeline.exec().catch((error: unknown) => this.#options.log.debug("renewing failed", { error: describeError(error) }));
  }

  keys(channel: string): ChannelKeys {
    return new ChannelKeys(this.#options.prefix, channel);
  }

  /** An epoch that nobody has used, for a log that has to begin anew. */
  freshEpoch(): string {
    return `${this.#options.instance}${(this.#epochs += 1).toString(36)}`;
  }

  /** Writes what waits, and once more what was written and not answered. */
  resume(): void {
    if (!this.#options.ready()) return;
    this.#queue.retry();
    this.#flush();
  }

  /** Writes what waits. Not what failed: that would turn for ever while a dying connection has not said so yet. */
  #flush(): void {
    if (!this.#options.ready()) return;
    const batches: AppendBatch[] = [];
    const pipeline = this.#options.link.client.pipeline();
    for (let batch = this.#queue.take(); batch !== undefined; batch = this.#queue.take()) {
      batches.push(batch);
      const { keys, args } = this.#command(batch);
      pipeline.evalsha(appendScript.sha, keys.length, ...keys, ...args);
    }
    if (batches.length === 0) return;
    pipeline.exec().then(
      (results) => this.#allAnswered(batches, (index) => results?.[index] ?? NO_ANSWER),
      (error: unknown) => this.#allAnswered(batches, () => [error, undefined]),
    );
  }

  /** Resolves once nothing waits and nothing is unanswered. */
  settled(): Promise<void> {
    return this.#queue.empty();
  }

  close(): void {
    this.#closed = true;
    this.#queue.close(new Problem("not-confirmed", "The server shut down before the bus confirmed the message."));
  }

  #command(batch: AppendBatch): { keys: string[]; args: (string | number | Buffer)[] } {
    const { instance, prefix, allowance } = this.#options;
    const { lane, sequence, items } = batch;
    const { channel, retention } = lane;
    const keys = this.keys(channel);
    const key = items[0]?.key;
    this.#checked.set(batch, this.evidence.doubted(channel));
    const last = [sequence, allowance.timeoutMs + LAST_TTL_MS];
    const args = [
      prefix + channel,
      this.freshEpoch(),
      ...this.evidence.briefOf(channel),
      ...last,
      retention.size,
      retention.ttlMs,
      ONCE_TTL_MS,
    ];
    return {
      keys: [keys.head, keys.log, keys.lastOf(instance), ...(key === undefined ? [] : [keys.once(key)])],
      args: [...args, ...items.map(({ entry }) => entry)],
    };
  }

  #allAnswered(batches: readonly AppendBatch[], answerOf: (index: number) => Answer): void {
    for (const [index, batch] of batches.entries()) this.#answered(batch, answerOf(index));
    this.#flush();
  }

  #answered(batch: AppendBatch, [error, answer]: Answer): void {
    if (this.#closed) return;
    if (error === null || error === undefined) this.#confirmed(batch, answer);
    else if (isMissingScript(error)) void this.#runAlone(batch);
    else if (error instanceof ReplyError && error instanceof Error) this.#refused(batch, error);
    else this.#queue.failed(batch);
  }

  /** With the script's text: Redis did not have it, so nothing was done yet. */
  async #runAlone(batch: AppendBatch): Promise<void> {
    const { keys, args } = this.#command(batch);
    try {
      this.#answered(batch, [null, await appendScript.run(this.#options.link.client, keys, args)]);
    } catch (error) {
      this.#answered(batch, [error, undefined]);
    }
    this.#flush();
  }

  #confirmed(batch: AppendBatch, answer: unknown): void {
    const [epoch, last, stamp] = Array.isArray(answer) ? answer.map(String) : [];
    const offset = Number(last);
    if (epoch === undefined || !Number.isSafeInteger(offset)) {
      this.#refused(batch, new Error(`the append script answered ${String(answer)}`));
      return;
    }
    this.#refusing = false;
    this.#options.counts.onPublished((Date.now() - (batch.items[0]?.acceptedMs ?? Date.now())) / 1000);
    // A repeat may be of an older epoch.
    if (stamp !== undefined) {
      this.evidence.saw(batch.lane.channel, epoch, offset, Number(stamp));
      this.evidence.trust(batch.lane.channel, this.#checked.get(batch));
    }
    this.#queue.confirmed(batch, (one) => formatPosition(epoch, one), offset);
  }

  #refused(batch: AppendBatch, error: Error): void {
    // Once, until it takes some again: it may refuse thousands.
    if (!this.#refusing) this.#options.log.error("redis refused a message", { channel: batch.lane.channel, error: describeError(error) });
    this.#refusing = true;
    this.#queue.refused(batch, new Problem("not-confirmed", "The bus refused the message."));
  }
}
