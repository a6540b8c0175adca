import { ReplyError } from "ioredis";
import type { Counts } from "../counts.ts";
import { Problem } from "../errors.ts";
import { describeError, type Log } from "../log.ts";
import type { Message } from "../message.ts";
import type { Retention } from "../position.ts";
import type { Allowance } from "./allowance.ts";
import { LaneWords, readAppended, writeAppend, type AppendPart, type AppendTerms, type Appended } from "./append-call.ts";
import { MAX_BATCH, MAX_BATCH_BYTES, type AppendBatch, type Lane } from "./append-lane.ts";
import { AppendQueue } from "./append-queue.ts";
import type { History, Page, ReadFrom, Sender } from "./bus.ts";
import { ChannelKeys } from "./channel-keys.ts";
import { checkOf, Evidence, type Mark, type Seen } from "./evidence.ts";
import { pageOf } from "./log-page.ts";
import type { RedisLink } from "./redis-link.ts";
import { appendScript, isMissingScript, readScript } from "./redis-scripts.ts";
import { WrittenCommand } from "./redis-wire.ts";

/** As in scripts/log.lua. */
const HEAD_TTL_MS = 24 * 3600 * 1000 + 60_000;
const ONCE_TTL_MS = 60_000;
/** How much longer than any retry the log remembers an instance's last batch. */
const LAST_TTL_MS = 600_000;
const VERIFY_BATCH = 256;
/** How long a log lives that somebody looked at before it had a message. */
const BRIEF_TTL_MS = 60_000;
const MAX_PAGE_BYTES = 2 ** 40;

/** A batch on its way, and what was in doubt when it was written: that is settled by its answer. */
interface Part extends AppendPart {
  readonly seen: Seen;
  readonly doubted: Mark | undefined;
}

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
  /** How many channels are followed here. */
  followed(): number;
}

/** The logs of channels in Redis: streams, appended and published by one script; see scripts/log.lua. */
export class RedisHistory implements History {
  readonly #options: RedisHistoryOptions;
  readonly #queue: AppendQueue;
  readonly evidence: Evidence;
  #epochs = 0;
  #stamp = 0;
  #flushing = false;
  #closed = false;
  #refusing = false;
  #unreadable = false;

  constructor(options: RedisHistoryOptions) {
    this.#options = options;
    const followed = (): number => options.followed();
    this.evidence = new Evidence(followed);
    this.#queue = new AppendQueue(options.allowance, () => this.resume(), followed);
  }

  append(channel: string, message: Message, retention: Retention, sender: Sender, key?: string): void {
    if (this.#closed) {
      sender.refused(new Problem("bus-away", "The server is shutting down."));
      return;
    }
    this.#queue.add(channel, retention, message, key, sender, !this.#options.ready());
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
      const page = pageOf(await readScript.run(link.client, [keys.head, keys.log], [...args, ...checks, ...begin]), from);
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
        await this.read(channel, retention, { limit: 0, bytes: 0, keepsAlive: false });
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

  /**
   * Writes what waits, of many channels in one call. Not what failed: that would turn for ever while a dying connection has not said
   * so yet.
   */
  #flush(): void {
    if (!this.#options.ready()) return;
    let parts: Part[] = [];
    let count = 0;
    let bytes = 0;
    for (let batch = this.#queue.take(); batch !== undefined; batch = this.#queue.take()) {
      if (batch.repeated && this.#confirmHeard(batch)) continue;
      count += batch.items.length;
      bytes += batch.bytes;
      if (parts.length > 0 && (count > MAX_BATCH || bytes > MAX_BATCH_BYTES)) {
        this.#write(parts, false);
        parts = [];
        count = batch.items.length;
        bytes = batch.bytes;
      }
      parts.push(this.#part(batch));
    }
    if (parts.length > 0) this.#write(parts, false);
  }

  /** Resolves once nothing waits and nothing is unanswered. */
  settled(): Promise<void> {
    return this.#queue.empty();
  }

  close(): void {
    this.#closed = true;
    this.#queue.close(new Problem("not-confirmed", "The server shut down before the bus confirmed the message."));
  }

  /** What was delivered was written, whether Redis still knows it or not: written again where it does not, it would be delivered twice. */
  #confirmHeard(batch: AppendBatch): boolean {
    const { heardEpoch, heardOffset } = this.#seenOf(batch.lane);
    if (heardEpoch === "") return false;
    this.#queue.confirmed(batch, heardEpoch, heardOffset);
    return true;
  }

  #seenOf(lane: Lane): Seen {
    if (lane.seen?.isForgotten !== false) lane.seen = this.evidence.about(lane.channel);
    return lane.seen;
  }

  #part(batch: AppendBatch): Part {
    const { lane } = batch;
    const { channel } = lane;
    const words = (lane.words ??= new LaneWords(this.keys(channel), this.#options.prefix + channel, lane.retention));
    const seen = this.#seenOf(lane);
    const { doubted } = seen;
    if (doubted !== undefined) {
      const { epoch, offset, stamp } = doubted;
      return { batch, words, seen, doubted, epoch, offset, stamp: stamp === 0 && offset > 0 ? undefined : stamp, isNext: false };
    }
    const { epoch, offset } = seen;
    // Before the first message of an epoch nothing tells whether the log is still that one.
    const isNext = offset > 0 && !batch.repeated && batch.items[0]?.key === undefined;
    return { batch, words, seen, doubted, epoch, offset, stamp: undefined, isNext };
  }

  /** @param withText where Redis does not have the script */
  #write(parts: readonly Part[], withText: boolean): void {
    const { link, instance, allowance } = this.#options;
    const { sha, text } = appendScript;
    const nowMs = Date.now();
    // Instances may write in one millisecond.
    const stamp = (this.#stamp = Math.max(this.#stamp + 1, nowMs * 1000 + Math.floor(Math.random() * 1000)));
    const terms: AppendTerms = {
      command: withText ? "EVAL" : "EVALSHA",
      script: withText ? text : sha,
      freshEpoch: this.freshEpoch(),
      instance,
      nowMs,
      stamp,
      lastTtlMs: allowance.timeoutMs + LAST_TTL_MS,
      onceTtlMs: ONCE_TTL_MS,
    };
    for (const { seen } of parts) {
      seen.written = stamp;
      seen.heardEpoch = "";
    }
    link.send(new WrittenCommand("evalsha", writeAppend(terms, parts))).then(
      (answer) => this.#answered(parts, terms, answer),
      (error: unknown) => this.#unanswered(parts, error),
    );
  }

  #answered(parts: readonly Part[], terms: AppendTerms, answer: unknown): void {
    if (this.#closed) return;
    let appended: Appended[];
    try {
      appended = readAppended(answer, parts);
    } catch (error) {
      for (const { batch } of parts) this.#refused(batch, error);
      return;
    }
    this.#options.counts.onPublished((Date.now() - (parts[0]?.batch.items[0]?.acceptedMs ?? Date.now())) / 1000);
    let index = 0;
    for (const part of parts) {
      this.#settle(part, terms, appended[index]);
      index += 1;
    }
    this.#flush();
  }

  #settle({ batch, words, seen, doubted }: Part, { stamp, nowMs }: AppendTerms, appended: Appended | undefined): void {
    if (appended === undefined || appended instanceof Error) {
      this.#refused(batch, appended);
      return;
    }
    const { epoch, offset, isNew } = appended;
    this.#refusing = false;
    // A repeat may be of an older epoch.
    if (isNew) {
      words.arrived(nowMs);
      this.evidence.note(seen, epoch, offset, stamp);
      this.evidence.trust(batch.lane.channel, doubted);
    }
    this.#queue.confirmed(batch, epoch, offset);
  }

  #unanswered(parts: readonly Part[], error: unknown): void {
    if (this.#closed) return;
    if (isMissingScript(error)) {
      // Nothing was done yet.
      this.#write(parts, true);
      return;
    }
    for (const { batch } of parts) {
      if (error instanceof ReplyError) this.#refused(batch, error);
      else this.#queue.failed(batch);
    }
    this.#flush();
  }

  #refused(batch: AppendBatch, error: unknown): void {
    // Once, until it takes some again: it may refuse thousands.
    if (!this.#refusing) this.#options.log.error("redis refused a message", { channel: batch.lane.channel, error: describeError(error) });
    this.#refusing = true;
    const also = batch.repeated ? " It was written before, and may still arrive." : "";
    this.#queue.refused(batch, new Problem("not-confirmed", `The bus refused the message.${also}`));
  }
}
