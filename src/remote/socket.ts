import type { IncomingMessage } from "node:http";
// The npm package ws under another name: Bun replaces "ws" with its own, which can neither stop reading nor tell why it was refused.
import { WebSocket } from "node-ws";
import type { Socket, SocketEvents, Sockets } from "../../client/channel.ts";
import { describeError } from "../log.ts";
import type { Message } from "../message.ts";
import { MAX_ANSWER_BYTES, parseRetryAfter, type Refusal } from "./answer.ts";
import type { ChannelUrl, RemoteCredential } from "./channel-url.ts";

const HANDSHAKE_TIMEOUT_MS = 10_000;
/** A socket is cut if nothing arrives for one to two of these although the server was pinged. */
const PING_MS = 15_000;
/** Longest wait for the body of a refusal; its status says most. */
const REFUSAL_MS = 1000;
/** No server accepts larger messages. */
const MAX_MESSAGE_BYTES = 2 ** 30;
/** The close code for a frame that breaks the protocol (RFC 6455 §7.4.1). */
const BROKEN_FRAME = 1002;

/** The end of a connection, or the reason why there was none. */
export type RemoteEnd =
  | { readonly how: "refused"; readonly status: number; readonly retryAfterS: number | undefined; readonly refusal: Refusal }
  | { readonly how: "unreachable"; readonly status?: never; readonly reason: string }
  | { readonly how: "broken"; readonly code: typeof BROKEN_FRAME; readonly reason: string }
  | { readonly how: "closed"; readonly code: number };

export interface RemoteSocketEvents {
  /** Called with the headers of the upgrade that say where messages begin, on a channel with history. */
  opened(position: string | undefined, resumed: string | undefined): void;
  message(message: string | Buffer): void;
}

/** Opens sockets to a channel of a remote server, and can stop reading from them. */
export class RemoteSockets implements Sockets<Message, RemoteEnd> {
  readonly #url: ChannelUrl;
  readonly #credential: RemoteCredential;
  #socket: RemoteSocket | undefined;
  #paused = false;

  constructor(url: ChannelUrl, credential: RemoteCredential) {
    this.#url = url;
    this.#credential = credential;
  }

  open(query: string, events: SocketEvents<Message, RemoteEnd>): Socket {
    const socket = new RemoteSocket(`${this.#url.socket}${query}`, this.#credential.headers, {
      opened: (position, resumed) => {
        events.opened({ position: position ?? null, resumed: resumed === undefined ? null : resumed === "true" });
        if (this.#paused) socket.pause();
      },
      message: (message) => events.received(message),
    });
    void socket.ended.then((end) => events.ended(end));
    this.#socket = socket;
    return socket;
  }

  /** Reads nothing more until `resume`. The server has to keep what comes, and closes the socket when that is too much. */
  pause(): void {
    this.#paused = true;
    this.#socket?.pause();
  }

  resume(): void {
    this.#paused = false;
    this.#socket?.resume();
  }
}

/** One WebSocket to a remote server. */
export class RemoteSocket implements Socket {
  /** Resolves once, when the socket has ended or could not open. */
  readonly ended: Promise<RemoteEnd>;
  readonly #socket: WebSocket;
  readonly #end: (end: RemoteEnd) => void;
  #paused = false;
  #open = false;
  #answered = true;
  #bytes: () => number = () => 0;
  #seenBytes = 0;
  #timer: ReturnType<typeof setInterval> | undefined;

  /** @param pingMs interval of the pings to the server, in milliseconds */
  constructor(url: string, headers: Readonly<Record<string, string>>, events: RemoteSocketEvents, pingMs = PING_MS) {
    const { promise, resolve } = Promise.withResolvers<RemoteEnd>();
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

  send(data: string | Uint8Array): void {
    this.#socket.send(data);
  }

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

  #opened(response: IncomingMessage | undefined, events: RemoteSocketEvents, pingMs: number): void {
    this.#open = true;
    this.#bytes = () => response?.socket.bytesRead ?? 0;
    this.#timer = setInterval(() => this.#checkAlive(), pingMs);
    events.opened(headerOf(response?.headers["lockstep-position"]), headerOf(response?.headers["lockstep-resumed"]));
  }

  /** A dead network reports nothing; neither pongs nor bytes arrive. */
  #checkAlive(): void {
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
      // The part that arrived has to do.
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
    this.#end({ how: "refused", status, retryAfterS: refusal.retryAfter, refusal });
    this.#socket.terminate();
  }

  #failed(error: Error): void {
    const code = "code" in error ? String(error.code) : "";
    // Once the socket is open, only a broken frame ends it by an error; every other failure is followed by a close.
    if (code.startsWith("WS_ERR")) this.#end({ how: "broken", code: BROKEN_FRAME, reason: error.message });
    else if (!this.#open) this.#end({ how: "unreachable", reason: code === "" ? describeError(error) : code });
  }
}

function headerOf(value: string | string[] | undefined): string | undefined {
  return typeof value === "string" ? value : undefined;
}
