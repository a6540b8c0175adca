import { Redis } from "ioredis";
import { describeError, type Log } from "../log.ts";
import type { WrittenCommand } from "./redis-wire.ts";

const CONNECT_TIMEOUT_MS = 2000;
/** A process that ends waits this long for a farewell, also from a Redis that is not there. */
const DISCONNECT_TIMEOUT_MS = 100;
const RECONNECT_STEP_MS = 50;
const RECONNECT_MAX_MS = 500;
const WATCH_MS = 500;
/** A hung Redis is noticed after this many turns of the watch: 2 to 2.5 s. */
const MAX_UNANSWERED_TURNS = 4;

/** One connection to Redis that comes back by itself, and notices within 3 s that its Redis is dead, hung or cut off. */
export class RedisLink {
  readonly client: Redis;
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
    this.client = new Redis(url, {
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

  /** Starts connecting, and goes on for ever. `lost` is also called when an attempt to connect fails. */
  open(ready: () => void, lost: () => void): void {
    // An attempt that hangs in Redis's greeting is as dead as a connection that does.
    this.client.on("connect", () => this.#startWatch());
    this.client.on("ready", () => {
      this.#up = true;
      this.#log.info("connected to redis", { connection: this.#name });
      ready();
    });
    this.client.on("close", () => {
      this.#stopWatch();
      this.#up = false;
      this.#report("the connection closed");
      lost();
    });
    this.client.on("error", (error: unknown) => this.#report(describeError(error)));
    this.client.connect().catch((error: unknown) => this.#report(describeError(error)));
  }

  /** Sends a command that is already written. Rejects where the connection is not there, or ends before the answer. */
  send(command: WrittenCommand): Promise<unknown> {
    this.client.sendCommand(command);
    return command.promise;
  }

  close(): void {
    this.#reported = true;
    this.#stopWatch();
    this.client.disconnect();
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
   * Counts turns, not time: after a stall of this process several intervals are one turn, and what Redis answered meanwhile is
   * read before the next one, so a stall of ours is not taken for one of Redis.
   */
  #turn(): void {
    if (this.#unansweredTurns >= MAX_UNANSWERED_TURNS) {
      this.#report("no answer");
      // Not disconnect(): its farewell would wait for a peer that is silent.
      this.client.stream.destroy();
      return;
    }
    this.#unansweredTurns += 1;
    if (!this.#up) return;
    this.client.ping().then(
      () => this.#answered(),
      (error: unknown) => this.#log.debug("ping failed", { connection: this.#name, error: describeError(error) }),
    );
  }

  #answered(): void {
    this.#unansweredTurns = 0;
    this.#failures = 0;
    this.#reported = false;
  }

  /** Once for each outage: the attempts that follow would fill the log. */
  #report(reason: string): void {
    if (this.#reported) return;
    this.#reported = true;
    this.#log.warn("redis is away", { connection: this.#name, reason });
  }
}
