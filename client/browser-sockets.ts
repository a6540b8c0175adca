import { ask } from "./ask.ts";
import type { Beginning, Socket, SocketEvents, Sockets } from "./channel.ts";
import type { SocketEnd } from "./reconnect.ts";

/** The end of a socket with what the server said about it. */
export interface BrowserEnd extends SocketEnd {
  /** Name of the problem that a refusal named (RFC 9457), such as `no-channel`. */
  readonly problem?: string;
  /** The server's own words: the detail of a problem, or the reason of a close. */
  readonly detail?: string;
}

export interface BrowserSocketsOptions {
  /** Base URL of the server; ends with "/". */
  readonly server: string;
  /** Path of the channel, percent-encoded. */
  readonly path: string;
  /** Asked before each attempt; empty for none. */
  readonly token: () => string | Promise<string>;
}

type Events = SocketEvents<string | ArrayBuffer, BrowserEnd>;

/** Longest time from the request to the first frame, in milliseconds. */
const OPENING_MS = 10_000;
/** Shape of a JSON Web Token (RFC 7519). */
const TOKEN = /^[\w-]+\.[\w-]+\.[\w-]*$/;

/** A JSON Web Token may stand in a subprotocol. An API key is none, and may not. */
export function isToken(text: string): boolean {
  return TOKEN.test(text);
}

/**
 * Opens sockets where `WebSocket` and `fetch` are all there is: browsers, Bun, Node 22. A `WebSocket` shows no headers, neither of
 * the 101 nor of a refusal. So the position comes in a first frame, which only channels with history send, and a refusal is asked
 * for once more without an upgrade.
 */
export class BrowserSockets implements Sockets<string | ArrayBuffer, BrowserEnd> {
  readonly #options: BrowserSocketsOptions;
  #history: boolean | undefined;

  constructor(options: BrowserSocketsOptions) {
    this.#options = options;
  }

  /** The channel keeps history; undefined until the server was asked. */
  get history(): boolean | undefined {
    return this.#history;
  }

  open(query: string, events: Events): Socket {
    const left = new AbortController();
    let socket: WebSocket | undefined;
    const connect = async (): Promise<void> => {
      const token = await this.#token();
      const refusal = token === undefined ? {} : await this.#learnHistory(token);
      if (left.signal.aborted) return;
      if (refusal === undefined) socket = this.#connect(query, token ?? "", events, left.signal);
      else events.ended(refusal);
    };
    void connect();
    return {
      send: (data) => socket?.send(data),
      close: () => {
        left.abort();
        socket?.close();
      },
    };
  }

  /** @returns undefined where the application cannot get one now */
  async #token(): Promise<string | undefined> {
    try {
      return await this.#options.token();
    } catch {
      return undefined;
    }
  }

  /** `hello` and positions are refused on a channel without history. */
  async #learnHistory(token: string): Promise<BrowserEnd | undefined> {
    if (this.#history !== undefined) return undefined;
    const answer = await ask(`${this.#options.server}history/${this.#options.path}?limit=1`, token);
    if (answer.status !== 200 && answer.problem !== "no-history") return answer;
    this.#history = answer.status === 200;
    return undefined;
  }

  #connect(query: string, token: string, events: Events, left: AbortSignal): WebSocket {
    const history = this.#history === true;
    const target = `ws/${this.#options.path}${history ? query.replace("?", "?hello=1&") || "?hello=1" : ""}`;
    const url = new URL(this.#options.server + target);
    url.protocol = url.protocol.replace("http", "ws");
    // A browser's WebSocket carries no headers: the token goes beside the subprotocol.
    const socket = new WebSocket(url, isToken(token) ? ["lockstep", `lockstep.token.${token}`] : []);
    socket.binaryType = "arraybuffer";
    const timer = setTimeout(() => socket.close(), OPENING_MS);
    let begun = false;
    let opened = false;
    const begin = (beginning: Beginning): void => {
      clearTimeout(timer);
      begun = true;
      events.opened(beginning);
    };
    socket.addEventListener("open", () => {
      opened = true;
      if (!history) begin({ position: null, resumed: null });
    });
    socket.addEventListener("message", ({ data }: MessageEvent<string | ArrayBuffer>) => {
      if (begun) events.received(data);
      else begin(parseHello(data));
    });
    socket.addEventListener("close", ({ code, reason }) => {
      clearTimeout(timer);
      if (left.aborted) return;
      // A channel that begins to keep history closes its clients so.
      if (code === 1013 && !history) this.#history = undefined;
      if (opened) events.ended({ code, detail: reason });
      else void this.#reasonOfRefusal(target, token).then((end) => events.ended(end));
    });
    return socket;
  }

  async #reasonOfRefusal(target: string, token: string): Promise<BrowserEnd> {
    const { server } = this.#options;
    const answer = await ask(server + target, token);
    if (answer.problem === "malformed-request") this.#history = undefined;
    if (answer.status !== 426) return answer;
    // A plain request may use an API key, which no WebSocket of a browser can.
    if (token !== "" && !isToken(token)) return { ...answer, status: 401 };
    // The upgrade may succeed now, unless Redis is away, which is checked after it.
    const ready = await ask(`${server}readyz`, token);
    return ready.status === 503 ? ready : { ...answer, status: undefined };
  }
}

/** Reads the first frame of `?hello=1`. */
function parseHello(frame: string | ArrayBuffer): Beginning {
  try {
    const hello: unknown = typeof frame === "string" ? JSON.parse(frame) : undefined;
    if (typeof hello === "object" && hello !== null && "position" in hello && typeof hello.position === "string") {
      return { position: hello.position, resumed: "resumed" in hello && typeof hello.resumed === "boolean" ? hello.resumed : null };
    }
  } catch {
    // Then it is no hello of Lockstep's.
  }
  return { position: null, resumed: null };
}
