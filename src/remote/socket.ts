import type { IncomingMessage } from "node:http";
// The npm package ws under another name: Bun puts its own in the place of "ws", which can neither stop reading nor say why it was refused.
import { WebSocket } from "node-ws";
import { describeError } from "../log.ts";
import { MAX_ANSWER_BYTES, parseRetryAfter, type Refusal } from "./answer.ts";

const HANDSHAKE_TIMEOUT_MS = 10_000;
/** Cut when nothing came for between one and two of them, though the server was asked. */
const PING_MS = 15_000;
/** How long the rest of a refusal may take; its status says most. */
const REFUSAL_MS = 1000;
/** No server takes larger messages. */
const MAX_MESSAGE_BYTES = 2 ** 30;

/** How a connection ended. */
export type SocketEnd =
  | { readonly how: "refused"; readonly refusal: Refusal }
  | { readonly how: "unreachable"; readonly reason: string }
  | { readonly how: "broken"; readonly reason: string }
  | { readonly how: "closed"; readonly code: number };

export interface SocketEvents {
  /** It is open; what the server says of the place where messages begin, on a channel with history. */
  opened(position: string | undefined, resumed: string | undefined): void;
  message(message: string | Buffer): void;
}

/** One WebSocket to a server elsewhere. */
export class RemoteSocket {
  /** Resolves once, when it has ended or could not begin. */
  readonly ended: Promise<SocketEnd>;
  readonly #socket: WebSocket;
  readonly #end: (end: SocketEnd) => void;
  #paused = false;
  #open = false;
  #answered = true;
  #bytes: () => number = () => 0;
  #seenBytes = 0;
  #timer: ReturnType<typeof setInterval> | undefined;

  /** @param pingMs how often the server is asked whether it is there */
  constructor(url: string, headers: Readonly<Record<string, string>>, events: SocketEvents, pingMs = PING_MS) {
    const { promise, resolve } = Promise.withResolvers<SocketEnd>();
    this.ended = promise;
    this.#end = resolve;
    const socket = new WebSocket(url, {
      headers,
      handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
      maxPayload: MAX_MESSAGE_BYTES,
      perMessageDeflate: false,
    });
    this.#socket = socket;
    let response: IncomingMessage | undefined;
    socket.on("upgrade", (answer) => (response = answer));
    socket.on("open", () => this.#opened(response, events, pingMs));
    socket.on("message", (data: Buffer, isBinary) => events.message(isBinary ? data : data.toString("utf8")));
    socket.on("pong", () => (this.#answered = true));
    socket.on("unexpected-response", (_, answer) => void this.#refused(answer));
    socket.on("error", (error) => this.#failed(error));
    socket.on("close", (code) => {
      clearInterval(this.#timer);
      resolve({ how: "closed", code });
    });
  }

  /** Reads nothing more, so that what comes waits with the server. */
  pause(): void {
    this.#paused = true;
    this.#socket.pause();
  }

  resume(): void {
    this.#paused = false;
    this.#answered = true;
    this.#socket.resume();
  }

  close(): void {
    clearInterval(this.#timer);
    if (this.#open) this.#socket.close(1000);
    else this.#socket.terminate();
  }

  #opened(response: IncomingMessage | undefined, events: SocketEvents, pingMs: number): void {
    this.#open = true;
    this.#bytes = () => response?.socket.bytesRead ?? 0;
    this.#timer = setInterval(() => this.#look(), pingMs);
    events.opened(headerOf(response?.headers["lockstep-position"]), headerOf(response?.headers["lockstep-resumed"]));
  }

  /** A network that is gone says nothing: then neither pongs nor bytes come. */
  #look(): void {
    if (this.#paused) return;
    const bytes = this.#bytes();
    if (!this.#answered && bytes === this.#seenBytes) {
      this.#socket.terminate();
      return;
    }
    this.#answered = false;
    this.#seenBytes = bytes;
    this.#socket.ping();
  }

  async #refused(response: IncomingMessage): Promise<void> {
    const parts: Buffer[] = [];
    let bytes = 0;
    const timer = setTimeout(() => response.destroy(), REFUSAL_MS);
    try {
      for await (const part of response) {
        parts.push(Buffer.from(part));
        bytes += parts.at(-1)?.length ?? 0;
        if (bytes > MAX_ANSWER_BYTES) break;
      }
    } catch {
      // What came of it has to do.
    } finally {
      clearTimeout(timer);
    }
    const { statusCode: status = 0, headers } = response;
    const refusal = {
      status,
      body: Buffer.concat(parts).toString("utf8"),
      location: headers.location,
      retryAfter: parseRetryAfter(headers["retry-after"]),
    };
    this.#end({ how: "refused", refusal });
    this.#socket.terminate();
  }

  #failed(error: Error): void {
    const code = "code" in error ? String(error.code) : "";
    // After its own opening only a frame that is none is an error of its own; what else fails is followed by the close.
    if (code.startsWith("WS_ERR")) this.#end({ how: "broken", reason: error.message });
    else if (!this.#open) this.#end({ how: "unreachable", reason: code === "" ? describeError(error) : code });
  }
}

function headerOf(value: string | string[] | undefined): string | undefined {
  return typeof value === "string" ? value : undefined;
}
