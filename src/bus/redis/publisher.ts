import { Problem } from "../../errors.ts";
import { describeError } from "../../log.ts";
import type { Message } from "../../message.ts";
import type { Sender } from "../publisher.ts";
import { notify, type Batch } from "../outbox-queue.ts";
import { Outbox } from "../outbox.ts";
import type { ShardContext } from "./context.ts";
import { frameBytes, writeFrame } from "./frame.ts";
import type { RedisPresence } from "./presence.ts";
import { PublishReplies } from "./reply-tap.ts";
import { argumentsOf, Writer } from "./resp.ts";

const MAX_BATCH = 1024;
const MAX_BATCH_BYTES = 1024 * 1024;
const PUBLISH = Buffer.concat([Buffer.from("*3\r\n"), argumentsOf("PUBLISH")]);
const DOLLAR = Buffer.from("$");
/** Bytes of a PUBLISH besides its head and its payload, at most. */
const COMMAND_BYTES = 24;
/** All plain messages are in one queue: two of one sender keep their order across channels. */
const QUEUE = "";

/** Begins the PUBLISH of a channel: everything up to the length of its payload. */
export function publishHead(redisChannel: string): Buffer {
  return Buffer.concat([PUBLISH, argumentsOf(redisChannel), DOLLAR]);
}

/** Publishes messages of channels without history, many in one write. A message that was written is never written again. */
export class PlainPublisher {
  readonly #context: ShardContext;
  readonly #presence: RedisPresence;
  readonly #outbox: Outbox<Buffer, undefined>;

  constructor(context: ShardContext, presence: RedisPresence) {
    this.#context = context;
    this.#presence = presence;
    this.#outbox = new Outbox({
      total: context.bus.total,
      inFlight: "many",
      rewrites: false,
      maxBatch: MAX_BATCH,
      maxBatchBytes: MAX_BATCH_BYTES,
      route: () => undefined,
      retry: () => undefined,
      followed: () => 0,
    });
  }

  /** True when so much waits that it should not wait for the end of the turn. */
  get isFull(): boolean {
    return this.#outbox.isFull;
  }

  /** @param head of its channel, by `publishHead` */
  add(head: Buffer, message: Message, sender: Sender): void {
    this.#outbox.add(QUEUE, message, head, sender, !this.#context.ready);
  }

  /** Writes everything that waits, if it may. */
  flush(): void {
    if (!this.#context.ready) return;
    // A member has joined before it speaks.
    this.#presence.flush();
    for (let batch = this.#outbox.take(); batch !== undefined; batch = this.#outbox.take()) this.#write(batch);
  }

  /** Resolves once nothing waits and nothing is unanswered. */
  empty(): Promise<void> {
    return this.#outbox.empty();
  }

  close(problem: Problem): void {
    this.#outbox.close(problem);
  }

  #write(batch: Batch<Buffer, undefined>): void {
    const { items } = batch;
    let size = 0;
    for (const { extra, message, bytes } of items) size += extra.length + COMMAND_BYTES + frameBytes(message, bytes);
    const writer = new Writer(size);
    for (const { extra, message, bytes } of items) {
      writer.bytes(extra);
      writer.decimal(frameBytes(message, bytes));
      writer.lineEnd();
      writeFrame(writer, message, bytes);
      writer.lineEnd();
    }
    const replies = new PublishReplies(items.length);
    this.#context.publisher.write("publish", writer.written, replies).then(
      () => this.#answered(batch, replies),
      (error: unknown) => this.#unanswered(batch, replies, error),
    );
  }

  #answered(batch: Batch<Buffer, undefined>, replies: PublishReplies): void {
    this.#context.bus.counts.onPublished((Date.now() - (batch.items[0]?.acceptedMs ?? Date.now())) / 1000);
    this.#outbox.settle(batch, (sender, index) => this.#report(sender, replies.errorOf(index)));
    // More may wait, if too much was unanswered.
    this.flush();
  }

  /** The connection ended. Redis may have answered some of the messages. */
  #unanswered(batch: Batch<Buffer, undefined>, replies: PublishReplies, error: unknown): void {
    this.#context.bus.log.debug("redis did not confirm", { error: describeError(error) });
    for (let index = 0; index < replies.answered; index += 1) {
      const item = batch.items[index];
      if (item !== undefined) notify(item, (sender) => this.#report(sender, replies.errorOf(index)));
    }
    this.#outbox.failed(batch);
  }

  #report(sender: Sender, error: Error | undefined): void {
    if (error === undefined) {
      sender.confirmed(null);
      return;
    }
    this.#context.bus.log.debug("redis refused a message", { error: describeError(error) });
    sender.refused(new Problem("not-confirmed", "The bus refused the message."));
  }
}
