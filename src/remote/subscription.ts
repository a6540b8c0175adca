import type { Message } from "../message.ts";
import { formatPosition, parsePosition, type Position } from "../position.ts";
import { describeRefusal } from "./answer.ts";
import { BackOff } from "./back-off.ts";
import type { ChannelUrl } from "./channel-url.ts";
import { closingOf } from "./closings.ts";
import type { RemoteCredential } from "./credential.ts";
import { RemoteSocket, type SocketEnd } from "./socket.ts";

/** A connection that lasted so long has worked, also where no message came. */
const WORKED_MS = 10_000;

export interface SubscriptionOptions {
  readonly url: ChannelUrl;
  readonly credential: RemoteCredential;
  /** Where to begin: after a position, or with the last so many messages; else with what comes. */
  readonly from: { readonly since: string } | { readonly recent: number } | undefined;
  /** A message, and its position on a channel with history. */
  readonly deliver: (message: Message, position: string | null) => void;
  /** Tells people of a loss, of a return, and of what may be missing. */
  readonly say: (line: string) => void;
}

/** How an attempt is to be followed. */
type Next = { readonly comeBack: "at-once" | "later" | "never"; readonly why: string; readonly afterS?: number | undefined };

/**
 * A channel of a server elsewhere, over as many connections as it takes. On a channel with history each message comes once and in
 * order, and `say` tells where that cannot be; without, every return is told.
 */
export class Subscription {
  readonly #options: SubscriptionOptions;
  readonly #backOff = new BackOff();
  #socket: RemoteSocket | undefined;
  #position: Position | undefined;
  /** What the next connection asks for. */
  #query: string;
  /** Where it began, while nothing was delivered. */
  #began: string | null = null;
  #delivered = false;
  #joined = false;
  #paused = false;
  #stopped = false;
  #wake: () => void = () => undefined;

  constructor(options: SubscriptionOptions) {
    this.#options = options;
    const { from } = options;
    if (from === undefined) this.#query = "";
    else this.#query = "since" in from ? `?since=${encodeURIComponent(from.since)}` : `?recent=${from.recent}`;
  }

  /** The position after which the first message was, or would be, delivered; null on a channel without history. */
  get began(): string | null {
    return this.#began;
  }

  /** Goes on until `stop`, which resolves to nothing, or until it makes no sense any more: then it resolves to the reason. */
  async run(): Promise<string | undefined> {
    for (;;) {
      const startedMs = Date.now();
      const end = await this.#connect();
      if (this.#stopped) return undefined;
      if (Date.now() - startedMs >= WORKED_MS) this.#backOff.reset();
      if (this.#givesUpPosition(end)) continue;
      const next = this.#nextAfter(end);
      // Who was never let in has given a wrong url, or has nothing to lose by starting again.
      if (next.comeBack === "never" || !this.#joined) return next.why;
      const { why, afterS = 0 } = next;
      this.#options.say(`${why}; coming back`);
      await this.#sleep(Math.max(afterS * 1000, this.#backOff.next(next.comeBack === "at-once")));
      if (this.#stopped) return undefined;
    }
  }

  stop(): void {
    this.#stopped = true;
    this.#socket?.close();
    this.#wake();
  }

  /** Reads nothing more until `resume`; the server has to keep what comes, and ends the connection where that is too much. */
  pause(): void {
    this.#paused = true;
    this.#socket?.pause();
  }

  resume(): void {
    this.#paused = false;
    this.#socket?.resume();
  }

  #connect(): Promise<SocketEnd> {
    const { url, credential } = this.#options;
    const socket = new RemoteSocket(`${url.socket}${this.#query}`, credential.headers, {
      opened: (position, resumed) => {
        this.#opened(position, resumed);
        if (this.#paused) socket.pause();
      },
      message: (message) => this.#received(message),
    });
    this.#socket = socket;
    return socket.ended;
  }

  #opened(header: string | undefined, resumed: string | undefined): void {
    const { say } = this.#options;
    const position = header === undefined ? undefined : parsePosition(header);
    const returned = this.#joined;
    if (resumed === "false") {
      const rest = header === undefined ? "" : `; going on after ${header}`;
      say(`messages may be missing here: the server does not keep all that came after ${this.#sought()}${rest}`);
    } else if (returned) {
      if (resumed === "true") say("connected again; nothing is missing");
      else say("connected again; messages may be missing here: the channel keeps no history");
    }
    this.#joined = true;
    this.#position = position;
    if (position === undefined) this.#began = null;
    else if (!this.#delivered) this.#began = formatPosition(position.epoch, position.offset);
    this.#aim();
  }

  #received(message: Message): void {
    if (this.#stopped) return;
    this.#backOff.reset();
    this.#delivered = true;
    if (this.#position === undefined) {
      this.#options.deliver(message, null);
      return;
    }
    const { epoch, offset } = this.#position;
    this.#position = { epoch, offset: offset + 1 };
    this.#aim();
    this.#options.deliver(message, formatPosition(epoch, offset + 1));
  }

  /** A channel may have ceased to keep history since; then to go on without it beats to end. */
  #givesUpPosition(end: SocketEnd): boolean {
    if (!this.#joined || this.#query === "" || end.how !== "refused" || end.refusal.status !== 400) return false;
    this.#position = undefined;
    this.#aim();
    return true;
  }

  #aim(): void {
    this.#query = this.#position === undefined ? "" : `?since=${formatPosition(this.#position.epoch, this.#position.offset)}`;
  }

  #sought(): string {
    return new URLSearchParams(this.#query).get("since") ?? "what was asked for";
  }

  #nextAfter(end: SocketEnd): Next {
    const { url, credential } = this.#options;
    if (end.how === "closed") {
      const { meaning, comeBack } = closingOf(end.code);
      return { comeBack, why: `the connection ended (${end.code}: ${meaning})` };
    }
    if (end.how === "refused") {
      const { refusal } = end;
      const passing = refusal.status === 429 || refusal.status >= 500;
      return { comeBack: passing ? "later" : "never", why: describeRefusal(refusal, url, credential), afterS: refusal.retryAfter };
    }
    if (end.how === "unreachable") return { comeBack: "later", why: `cannot connect to ${url.server} (${end.reason})` };
    return { comeBack: "never", why: `${url.server} does not speak as a WebSocket server does (${end.reason})` };
  }

  #sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
