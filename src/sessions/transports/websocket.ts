import type { Server, ServerWebSocket, WebSocketHandler } from "bun";
import type { Message } from "../../message.ts";
import type { Topics } from "../../protocols/protocol.ts";
import type { Transport, TransportOwner } from "./transport.ts";

type Socket = ServerWebSocket<WebSocketTransport>;

/** Bun reports a drained socket only if it was full. */
const DRAINED_CHECK_MS = 100;

/** The topics of Bun's server. */
export class NativeTopics implements Topics {
  #server: Server<WebSocketTransport> | undefined;

  /** The server listens. */
  use(server: Server<WebSocketTransport>): void {
    this.#server = server;
  }

  send(topic: string, frame: Message): void {
    this.#server?.publish(topic, frame);
  }
}

/**
 * A WebSocket. `open`, `message`, `drain`, `ping`, `pong` and `close` are called by the server with the raw socket. They never throw:
 * Bun would end the process.
 */
export class WebSocketTransport implements Transport {
  readonly #owner: TransportOwner;
  #socket: Socket | undefined;
  #finishing = false;
  /** Replays that wait; mostly none. */
  #onDrained: (() => void)[] | undefined;
  /** True if anything was heard since the last look. */
  #heard = false;
  #quietSinceMs = Date.now();
  #pingDueMs: number;

  constructor(owner: TransportOwner, pingIntervalMs: number) {
    this.#owner = owner;
    this.#pingDueMs = this.#quietSinceMs + pingIntervalMs;
  }

  get waiting(): number {
    return this.#socket?.getBufferedAmount() ?? 0;
  }

  open(socket: Socket): void {
    this.#socket = socket;
  }

  message(frame: Message): void {
    this.#heard = true;
    this.#owner.receive(frame);
  }

  ping(): void {
    this.#heard = true;
  }

  pong(): void {
    this.#heard = true;
  }

  drain(): void {
    this.#closeWhenSent();
    if (this.waiting === 0) this.#wakeReplays();
  }

  close(code: number): void {
    this.#socket = undefined;
    this.#owner.disconnected(code);
    this.#wakeReplays();
  }

  send(frame: Message): void {
    if (!this.#finishing) this.#socket?.send(frame);
  }

  listen(topic: string): void {
    this.#socket?.subscribe(topic);
  }

  unlisten(topic: string): void {
    this.#socket?.unsubscribe(topic);
  }

  async drained(): Promise<void> {
    // What is sent in one turn is written at its end: only then is it known what the client has not read.
    await new Promise(setImmediate);
    while (this.waiting > 0) {
      const before = this.waiting;
      await this.#drainedSoon();
      // A client that reads is alive, though its answers to pings may stand behind much that it has to read first.
      if (this.waiting < before) this.#heard = true;
    }
  }

  finish(): void {
    this.#finishing = true;
    this.#closeWhenSent();
  }

  terminate(): void {
    this.#socket?.terminate();
  }

  /** Pings when it is time, and cuts a client that was silent for two intervals. */
  tend(nowMs: number, intervalMs: number, mayCut: boolean): void {
    if (this.#heard) {
      this.#heard = false;
      this.#quietSinceMs = nowMs;
    } else if (mayCut && nowMs - this.#quietSinceMs >= 2 * intervalMs) {
      this.terminate();
      return;
    }
    if (nowMs < this.#pingDueMs) return;
    this.#pingDueMs = nowMs + intervalMs;
    this.#socket?.ping();
  }

  async #drainedSoon(): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    await new Promise<void>((resolve) => {
      (this.#onDrained ??= []).push(resolve);
      timer = setTimeout(resolve, DRAINED_CHECK_MS);
    });
    clearTimeout(timer);
  }

  #wakeReplays(): void {
    const waiting = this.#onDrained;
    this.#onDrained = undefined;
    for (const resolve of waiting ?? []) resolve();
  }

  /** A close frame must come after all that was sent before: Bun gives up a backlog a few seconds after `close`. */
  #closeWhenSent(): void {
    const socket = this.#socket;
    if (!this.#finishing || socket === undefined || socket.getBufferedAmount() > 0) return;
    const { code, reason } = this.#owner.closeFrame();
    socket.close(code, reason);
  }
}

/** The options of Bun's server for sockets. Each is handed to the transport that was given to `upgrade`. */
export function socketHandler(maxMessageBytes: number): WebSocketHandler<WebSocketTransport> {
  return {
    maxPayloadLength: maxMessageBytes,
    // The hub's sweep finds slow readers, own pings find dead peers: Bun's limit drops in silence, and its time-out never comes on a
    // busy channel.
    backpressureLimit: 0,
    idleTimeout: 0,
    sendPings: false,
    perMessageDeflate: false,
    open: (socket) => socket.data.open(socket),
    message: (socket, message) => socket.data.message(message),
    drain: (socket) => socket.data.drain(),
    ping: (socket) => socket.data.ping(),
    pong: (socket) => socket.data.pong(),
    close: (socket, code) => socket.data.close(code),
  };
}
