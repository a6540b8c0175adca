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
import type { Sender } from "./bus.ts";
import { ChannelKeys } from "./channel-keys.ts";
import type { Evidence, Mark, Seen } from "./evidence.ts";
import type { RedisLink } from "./redis-link.ts";
import { appendScript, isMissingScript } from "./redis-scripts.ts";
import { WrittenCommand } from "./redis-wire.ts";

const ONCE_TTL_MS = 60_000;
/** How much longer than any retry the log remembers an instance's last batch. */
const LAST_TTL_MS = 600_000;

/** A batch on its way, and what was in doubt when it was written: that is settled by its answer. */
interface Part extends AppendPart {
  readonly seen: Seen;
  readonly doubted: Mark | undefined;
}

export interface RedisAppendsOptions {
  readonly link: RedisLink;
  readonly prefix: string;
  /** Names this instance among all; letters and digits, always as many. */
  readonly instance: string;
  readonly allowance: Allowance;
  readonly evidence: Evidence;
  readonly log: Log;
  readonly counts: Counts;
  /** An epoch that nobody has used. */
  readonly freshEpoch: () => string;
  /** Whether to write now, or to let messages wait. */
  ready(): boolean;
  /** How many channels are followed here. */
  followed(): number;
}

/** Appends to the logs of channels, of many in one call of the script; see scripts/append-next.lua. */
export class RedisAppends {
  readonly #options: RedisAppendsOptions;
  readonly #queue: AppendQueue;
  #stamp = 0;
  #flushing = false;
  #closed = false;
  #refusing = false;

  constructor(options: RedisAppendsOptions) {
    this.#options = options;
    this.#queue = new AppendQueue(
      options.allowance,
      () => this.resume(),
      () => options.followed(),
    );
  }

  /** See `History.append`. */
  add(channel: string, message: Message, retention: Retention, sender: Sender, key?: string): void {
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
    if (lane.seen?.isForgotten !== false) lane.seen = this.#options.evidence.about(lane.channel);
    return lane.seen;
  }

  #part(batch: AppendBatch): Part {
    const { lane } = batch;
    const { channel } = lane;
    const { prefix } = this.#options;
    const words = (lane.words ??= new LaneWords(new ChannelKeys(prefix, channel), prefix + channel, lane.retention));
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
    const { link, instance, allowance, freshEpoch } = this.#options;
    const { sha, text } = appendScript;
    const nowMs = Date.now();
    // Instances may write in one millisecond.
    const stamp = (this.#stamp = Math.max(this.#stamp + 1, nowMs * 1000 + Math.floor(Math.random() * 1000)));
    const terms: AppendTerms = {
      command: withText ? "EVAL" : "EVALSHA",
      script: withText ? text : sha,
      freshEpoch: freshEpoch(),
      instance,
      nowMs,
      stamp,
      lastTtlMs: allowance.timeoutMs + LAST_TTL_MS,
      onceTtlMs: ONCE_TTL_MS,
    };
    for (const { seen, batch } of parts) this.#options.evidence.wrote(seen, stamp, batch.repeated);
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
      this.#options.evidence.note(seen, epoch, offset, stamp);
      this.#options.evidence.trust(batch.lane.channel, doubted);
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
