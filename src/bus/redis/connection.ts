import { Command, Redis, ReplyError } from "ioredis";
import { describeError, type Log } from "../../log.ts";
import { tapReplies, type Received, type Replies, type UnansweredCommands } from "./reply-tap.ts";
import type { Script } from "./scripts.ts";

const CONNECT_TIMEOUT_MS = 2000;
/** A shutdown waits this long for Redis to close, even if it is unreachable. */
const DISCONNECT_TIMEOUT_MS = 100;
const RECONNECT_STEP_MS = 50;
const RECONNECT_MAX_MS = 500;
const WATCH_MS = 500;
/** A hung Redis is noticed after this many turns of the watch: 2 to 2.5 s. */
const MAX_UNANSWERED_TURNS = 4;

/**
 * One connection to Redis. It comes back by itself, and notices within 3 s that its Redis is dead, hung or cut off. Only this file
 * and topology.ts know ioredis.
 */
export class RedisConnection {
  readonly #client: Redis;
  readonly #name: string;
  readonly #log: Log;
  #watch: ReturnType<typeof setInterval> | undefined;
  #unansweredTurns = 0;
  #up = false;
  #failures = 0;
  #reported = false;

  constructor(url: string, name: string, log: Log) {
    this.#name = name;
    this.#log = log;
    // ioredis's defaults lose and double: it resends what may have happened, holds commands while it is away, and
    // re-subscribes in a way that breaks when the connection dies among the acknowledgements.
    this.#client = new Redis(url, {
      lazyConnect: true,
      connectionName: `lockstep-${name}`,
      connectTimeout: CONNECT_TIMEOUT_MS,
      disconnectTimeout: DISCONNECT_TIMEOUT_MS,
      retryStrategy: () => Math.min((this.#failures += 1) * RECONNECT_STEP_MS, RECONNECT_MAX_MS),
      enableOfflineQueue: false,
      autoResubscribe: false,
      autoResendUnfulfilledCommands: false,
      maxRetriesPerRequest: 0,
    });
  }

  get up(): boolean {
    return this.#up;
  }

  /**
   * Starts connecting, and keeps at it until `close`.
   *
   * @param lost is also called when an attempt to connect fails
   * @param received hears the messages of a subscriber
   */
  open(ready: () => void, lost: () => void, received?: Received): void {
    const client = this.#client;
    // An attempt that hangs in Redis's greeting is as dead as a connection that does.
    client.on("connect", () => this.#startWatch());
    client.on("ready", () => {
      this.#up = true;
      this.#log.info("connected to redis", { connection: this.#name });
      tapReplies(client.stream, unansweredBy(client), received);
      ready();
    });
    client.on("close", () => {
      this.#stopWatch();
      this.#up = false;
      this.#report("the connection closed");
      lost();
    });
    client.on("error", (error: unknown) => this.#report(describeError(error)));
    client.connect().catch((error: unknown) => this.#report(describeError(error)));
  }

  /**
   * Sends a command, or several as one, that is already in Redis's protocol. Resolves once all of its replies are there; rejects
   * where the connection is not there, or ends before.
   */
  write(name: string, bytes: Buffer, replies: Replies): Promise<unknown> {
    const command = new WrittenCommand(name, bytes, replies);
    this.#client.sendCommand(command);
    return command.promise;
  }

  /** Runs a script, and sends Redis its text where Redis does not have it: then it did nothing yet. */
  async run({ sha, text }: Script, keys: readonly string[], args: readonly (string | number | Buffer)[]): Promise<unknown> {
    try {
      return await this.#client.callBuffer("EVALSHA", [sha, keys.length, ...keys, ...args]);
    } catch (error) {
      if (!isMissingScript(error)) throw error;
      return this.#client.callBuffer("EVAL", [text, keys.length, ...keys, ...args]);
    }
  }

  /** Gives Redis the scripts beforehand, so that commands sent afterwards keep their order. */
  load(scripts: readonly Script[]): void {
    for (const { text } of scripts) this.#try("loading a script", this.#client.script("LOAD", text));
  }

  /** Resolves once Redis has acknowledged all of them. It refuses all of them if it does not permit one. */
  async subscribe(names: readonly string[]): Promise<void> {
    await this.#client.subscribe(...names);
  }

  unsubscribe(name: string): void {
    this.#try("unsubscribing", this.#client.unsubscribe(name));
  }

  /** Resolves to true once Redis has answered behind everything that it had for this connection; false if the connection is gone. */
  ping(): Promise<boolean> {
    return this.#client.ping().then(
      () => true,
      () => false,
    );
  }

  expire(keys: readonly string[], ms: number): void {
    const pipeline = this.#client.pipeline();
    for (const key of keys) pipeline.pexpire(key, ms);
    this.#try("renewing", pipeline.exec());
  }

  close(): void {
    this.#reported = true;
    this.#stopWatch();
    this.#client.disconnect();
  }

  #try(doing: string, attempt: Promise<unknown>): void {
    attempt.catch((error: unknown) => this.#log.debug(`${doing} failed`, { connection: this.#name, error: describeError(error) }));
  }

  #startWatch(): void {
    this.#stopWatch();
    this.#unansweredTurns = 0;
    this.#watch = setInterval(() => this.#turn(), WATCH_MS);
  }

  #stopWatch(): void {
    clearInterval(this.#watch);
    this.#watch = undefined;
  }

  /**
   * Counts turns, not time: after a stall of this process several intervals are one turn, and Redis's answers of that time are read
   * before the next one. So a stall of this process is not taken for one of Redis.
   */
  #turn(): void {
    if (this.#unansweredTurns >= MAX_UNANSWERED_TURNS) {
      this.#report("no answer");
      // Not disconnect(): its goodbye would wait for a peer that is silent.
      this.#client.stream.destroy();
      return;
    }
    this.#unansweredTurns += 1;
    if (this.#up) void this.ping().then((answered) => answered && this.#answered());
  }

  #answered(): void {
    this.#unansweredTurns = 0;
    this.#failures = 0;
    this.#reported = false;
  }

  /** Logs once for each outage: the attempts that follow would fill the log. */
  #report(reason: string): void {
    if (this.#reported) return;
    this.#reported = true;
    this.#log.warn("redis is away", { connection: this.#name, reason });
  }
}

/** Redis answered, and refused: the command did nothing. Any other error leaves open what became of it. */
export function isRefusal(error: unknown): boolean {
  return error instanceof ReplyError;
}

export function isMissingScript(error: unknown): boolean {
  return error instanceof ReplyError && error instanceof Error && error.message.startsWith("NOSCRIPT");
}

/** A command that is already in Redis's protocol. */
class WrittenCommand extends Command {
  readonly replies: Replies;
  readonly #bytes: Buffer;

  constructor(name: string, bytes: Buffer, replies: Replies) {
    super(name);
    this.#bytes = bytes;
    this.replies = replies;
    // Otherwise ioredis would describe it to its diagnostics channels.
    this.isTraced = true;
  }

  override toWritable(): Buffer {
    return this.#bytes;
  }
}

function unansweredBy({ commandQueue }: Redis): UnansweredCommands {
  return {
    first: () => {
      const command = commandQueue.peekFront()?.command;
      return command instanceof WrittenCommand ? command.replies : undefined;
    },
    shift: () => {
      const command = commandQueue.shift()?.command;
      if (command instanceof WrittenCommand) command.resolve(command.replies.result);
    },
  };
}
