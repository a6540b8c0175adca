import { Problem } from "../../errors.ts";
import { describeError } from "../../log.ts";
import type { Message } from "../../message.ts";
import type { Retention } from "../../position.ts";
import type { Sender } from "../publisher.ts";
import { Outbox } from "../outbox.ts";
import {
  AppendRoute,
  readAppended,
  writeAppend,
  type AppendBatch,
  type AppendPart,
  type AppendTerms,
  type Appended,
} from "./append-call.ts";
import { isMissingScript, isRefusal } from "./connection.ts";
import type { ShardContext } from "./context.ts";
import type { LastSeen, SeenEntry } from "./loss-detector.ts";
import type { RedisPresence } from "./presence.ts";
import { TextReply } from "./reply-tap.ts";
import { appendScript } from "./scripts.ts";

/** Written at a time: to one channel, and in one call to all of them. */
const MAX_BATCH = 256;
const MAX_BATCH_BYTES = 256 * 1024;
const ONCE_TTL_MS = 60_000;
/** The log remembers an instance's last batch for so much longer than any retry. */
const LAST_TTL_MS = 600_000;

/** A batch on its way, and the entry that was unproven when it was written: the answer settles that. */
interface Part extends AppendPart {
  readonly seen: LastSeen;
  readonly unproven: SeenEntry | undefined;
}

/**
 * Appends to the logs of channels, of many in one call of the script; see lua/append-next.lua.
 *
 * One batch of a channel is on its way at a time. With two, the second would have to name the first, and be refused with it: its
 * senders may have a message in both, and nothing may arrive behind a hole. And the log would have to remember two batches of each
 * instance: a first batch that comes again after the second has arrived would be answered with the second one's offset.
 */
export class Appender {
  readonly #context: ShardContext;
  readonly #presence: RedisPresence;
  readonly #outbox: Outbox<string | undefined, AppendRoute>;
  #checkpoint = 0;
  #closed = false;
  #refusing = false;

  constructor(context: ShardContext, presence: RedisPresence) {
    this.#context = context;
    this.#presence = presence;
    this.#outbox = new Outbox({
      total: context.bus.total,
      inFlight: "one",
      rewrites: true,
      maxBatch: MAX_BATCH,
      maxBatchBytes: MAX_BATCH_BYTES,
      // A message with a key of its own may turn out to be published already.
      standsAlone: ({ extra }) => extra !== undefined,
      route: (channel) => new AppendRoute(channel, context.keys(channel), context.nameOf(channel)),
      retry: () => this.resume(),
      followed: () => context.subscriptions.count,
    });
  }

  /** See `History.append`. */
  add(channel: string, message: Message, retention: Retention, sender: Sender, key: string | undefined): void {
    this.#outbox.add(channel, message, key, sender, !this.#context.ready)?.route.keep(retention);
  }

  /** Writes everything that waits, and again everything that was written and not answered. */
  resume(): void {
    if (!this.#context.ready) return;
    this.#outbox.retry();
    this.flush();
  }

  /**
   * Writes everything that waits, of many channels in one call. Not what failed: that would turn for ever while a dying connection
   * has not said so yet.
   */
  flush(): void {
    if (!this.#context.ready) return;
    // A member has joined before it speaks.
    this.#presence.flush();
    let parts: Part[] = [];
    let count = 0;
    let bytes = 0;
    for (let batch = this.#outbox.take(); batch !== undefined; batch = this.#outbox.take()) {
      const seen = this.#seenOf(batch.queue.route);
      if (batch.repeated && this.#confirmHeard(batch, seen)) continue;
      count += batch.items.length;
      bytes += batch.bytes;
      if (parts.length > 0 && (count > MAX_BATCH || bytes > MAX_BATCH_BYTES)) {
        this.#write(parts, false);
        parts = [];
        count = batch.items.length;
        bytes = batch.bytes;
      }
      parts.push(partOf(batch, seen));
    }
    if (parts.length > 0) this.#write(parts, false);
  }

  /** Resolves once nothing waits and nothing is unanswered. */
  empty(): Promise<void> {
    return this.#outbox.empty();
  }

  close(problem: Problem): void {
    this.#closed = true;
    this.#outbox.close(problem);
  }

  #seenOf(route: AppendRoute): LastSeen {
    if (route.seen?.isEvicted !== false) route.seen = this.#context.losses.about(route.channel);
    return route.seen;
  }

  /** A batch that was delivered was written, whether Redis still knows it or not. Written again where it does not, it would be doubled. */
  #confirmHeard(batch: AppendBatch, { heardEpoch, heardOffset }: LastSeen): boolean {
    if (heardEpoch === "") return false;
    this.#confirm(batch, heardEpoch, heardOffset);
    return true;
  }

  /** @param withText where Redis does not have the script */
  #write(parts: readonly Part[], withText: boolean): void {
    const { publisher, losses, bus } = this.#context;
    const { sha, text } = appendScript;
    const nowMs = Date.now();
    // Instances may write in one millisecond.
    const checkpoint = (this.#checkpoint = Math.max(this.#checkpoint + 1, nowMs * 1000 + Math.floor(Math.random() * 1000)));
    const terms: AppendTerms = {
      command: withText ? "EVAL" : "EVALSHA",
      script: withText ? text : sha,
      freshEpoch: this.#context.freshEpoch(),
      instance: bus.instance,
      nowMs,
      checkpoint,
      lastTtlMs: bus.total.timeoutMs + LAST_TTL_MS,
      onceTtlMs: ONCE_TTL_MS,
    };
    for (const { seen, batch } of parts) losses.wrote(seen, checkpoint, batch.repeated);
    publisher.write("evalsha", writeAppend(terms, parts), new TextReply()).then(
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
    this.#context.bus.counts.onPublished((Date.now() - (parts[0]?.batch.items[0]?.acceptedMs ?? Date.now())) / 1000);
    let index = 0;
    for (const part of parts) {
      this.#settle(part, terms, appended[index]);
      index += 1;
    }
    this.flush();
  }

  #settle({ batch, settings, seen, unproven }: Part, { checkpoint, nowMs }: AppendTerms, appended: Appended | undefined): void {
    if (appended === undefined || appended instanceof Error) {
      this.#refused(batch, appended);
      return;
    }
    const { epoch, offset, isNew } = appended;
    this.#refusing = false;
    // A repeat may be of an older epoch.
    if (isNew) {
      batch.queue.route.arrived(settings, nowMs);
      this.#context.losses.saw(seen, epoch, offset, checkpoint);
      this.#context.losses.proven(batch.queue.name, unproven);
    }
    this.#confirm(batch, epoch, offset);
  }

  /** @param offset that of the batch's last message */
  #confirm(batch: AppendBatch, epoch: string, offset: number): void {
    const first = offset - batch.items.length + 1;
    this.#outbox.settle(batch, (sender, index) => sender.confirmed({ epoch, offset: first + index }));
  }

  #unanswered(parts: readonly Part[], error: unknown): void {
    if (this.#closed) return;
    if (isMissingScript(error)) {
      // Nothing was done yet.
      this.#write(parts, true);
      return;
    }
    for (const { batch } of parts) {
      if (isRefusal(error)) this.#refused(batch, error);
      else this.#outbox.failed(batch);
    }
    this.flush();
  }

  #refused(batch: AppendBatch, error: unknown): void {
    // Once, until it accepts some again: it may refuse thousands.
    if (!this.#refusing) this.#context.bus.log.error("redis refused a message", { channel: batch.queue.name, error: describeError(error) });
    this.#refusing = true;
    const also = batch.repeated ? " It was written before, and may still arrive." : "";
    this.#outbox.refuse(batch, new Problem("not-confirmed", `The bus refused the message.${also}`));
  }
}

function partOf(batch: AppendBatch, seen: LastSeen): Part {
  const { settings } = batch.queue.route;
  const { unproven } = seen;
  if (unproven !== undefined) {
    const { epoch, offset, checkpoint } = unproven;
    const known = checkpoint === 0 && offset > 0 ? undefined : checkpoint;
    return { batch, settings, seen, unproven, epoch, offset, checkpoint: known, isNext: false };
  }
  const { epoch, offset } = seen;
  // Before the first message of an epoch nothing tells whether the log is still that one.
  const isNext = offset > 0 && !batch.repeated && batch.items[0]?.extra === undefined;
  return { batch, settings, seen, unproven, epoch, offset, checkpoint: undefined, isNext };
}
