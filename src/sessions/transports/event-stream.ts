import type { Message } from "../../message.ts";
import type { Topics } from "../../protocols/protocol.ts";
import type { Transport, TransportOwner } from "./transport.ts";

const HEARTBEAT_MS = 15_000;

/** For event streams what the topics of Bun's server are for sockets. */
export class StreamTopics implements Topics {
  readonly #topics = new Map<string, Set<EventStreamTransport>>();

  listen(topic: string, stream: EventStreamTransport): void {
    const streams = this.#topics.get(topic);
    if (streams === undefined) this.#topics.set(topic, new Set([stream]));
    else streams.add(stream);
  }

  unlisten(topic: string, stream: EventStreamTransport): void {
    const streams = this.#topics.get(topic);
    streams?.delete(stream);
    if (streams?.size === 0) this.#topics.delete(topic);
  }

  send(topic: string, frame: Message): void {
    for (const stream of this.#topics.get(topic) ?? []) stream.send(frame);
  }
}

/**
 * The response of a request for server-sent events. What is sent waits in a queue of its own until the response pulls it, so that a
 * client that does not read is seen, and bounded.
 */
export class EventStreamTransport implements Transport {
  readonly #owner: TransportOwner;
  readonly #topics: StreamTopics;
  readonly #heartbeat: Message;
  #queue: Uint8Array[] = [];
  #waiting = 0;
  /** Since when the response has not asked for more, in milliseconds since 1970; undefined while it waits for some. */
  #blockedSinceMs: number | undefined = Date.now();
  #heartbeatDueMs = Date.now() + HEARTBEAT_MS;
  #state: "open" | "finishing" | "ended" = "open";
  /** The response waits for something to send. */
  #wake: (() => void) | undefined;
  /** Replays that wait. */
  #onDrained: (() => void)[] = [];
  #cut: () => void = () => undefined;

  /** @param heartbeat sent every 15 s: it keeps proxies from closing a quiet stream */
  constructor(owner: TransportOwner, topics: StreamTopics, heartbeat: Message) {
    this.#owner = owner;
    this.#topics = topics;
    this.#heartbeat = heartbeat;
  }

  /** 0 while the response asks for more: what is there goes out at once, however much it is. */
  get waiting(): number {
    return this.#blockedSinceMs === undefined ? 0 : this.#waiting;
  }

  /** The response begins. @param cut ends it at once, read or not */
  begin(cut: () => void): void {
    this.#cut = cut;
  }

  /** Resolves to the next part of the response, or to undefined at its end. */
  async pull(): Promise<Uint8Array | undefined> {
    this.#blockedSinceMs = undefined;
    while (this.#queue.length === 0) {
      if (this.#state !== "open") {
        this.end();
        return undefined;
      }
      this.#wakeReplays();
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    const parts = this.#queue;
    this.#queue = [];
    this.#waiting = 0;
    this.#blockedSinceMs = Date.now();
    return Buffer.concat(parts);
  }

  send(frame: Message): void {
    if (this.#state !== "open") return;
    const bytes = typeof frame === "string" ? Buffer.from(frame) : frame;
    this.#queue.push(bytes);
    this.#waiting += bytes.length;
    this.#wake?.();
  }

  listen(topic: string): void {
    this.#topics.listen(topic, this);
  }

  unlisten(topic: string): void {
    this.#topics.unlisten(topic, this);
  }

  async drained(): Promise<void> {
    while (this.#state === "open" && (this.#blockedSinceMs !== undefined || this.#queue.length > 0)) {
      await new Promise<void>((resolve) => {
        this.#onDrained.push(resolve);
      });
    }
  }

  finish(): void {
    if (this.#state === "open") this.#state = "finishing";
    this.#wakeAll();
  }

  /** The client is gone, or has everything. A second time does nothing. */
  end(): void {
    if (this.#state === "ended") return;
    this.#state = "ended";
    this.#queue = [];
    this.#owner.disconnected(undefined);
    this.#wakeAll();
  }

  terminate(): void {
    this.end();
    this.#cut();
  }

  /** Sends a comment when it is time, and cuts a client that has read nothing for two intervals. */
  tend(nowMs: number, intervalMs: number, mayCut: boolean): void {
    if (mayCut && nowMs - (this.#blockedSinceMs ?? nowMs) > 2 * intervalMs) {
      this.terminate();
      return;
    }
    if (nowMs < this.#heartbeatDueMs) return;
    this.#heartbeatDueMs = nowMs + HEARTBEAT_MS;
    this.send(this.#heartbeat);
  }

  #wakeAll(): void {
    this.#wake?.();
    this.#wakeReplays();
  }

  #wakeReplays(): void {
    const waiting = this.#onDrained;
    this.#onDrained = [];
    for (const resolve of waiting) resolve();
  }
}
