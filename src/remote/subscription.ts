import { Channel, type ChannelListener, type Start, type State } from "../../client/channel.ts";
import { closings, type CloseCode } from "../errors.ts";
import type { Message } from "../message.ts";
import { describeRefusal } from "./answer.ts";
import type { ChannelUrl, RemoteCredential } from "./channel-url.ts";
import { RemoteSockets, type RemoteEnd } from "./socket.ts";

export interface SubscriptionOptions {
  readonly url: ChannelUrl;
  readonly credential: RemoteCredential;
  /** Begins after a position or with the last so many messages, else with what comes. */
  readonly from: { readonly since: string } | { readonly recent: number } | undefined;
  /** Takes a message and its position, which is null on a channel without history. */
  readonly deliver: (message: Message, position: string | null) => void;
  /** Reports to people a lost connection, a new one, and what may be missing. */
  readonly notify: (line: string) => void;
}

/** A channel of a remote server, followed for the command line. */
export class Subscription implements ChannelListener<Message, RemoteEnd> {
  readonly #options: SubscriptionOptions;
  readonly #sockets: RemoteSockets;
  readonly #channel: Channel<Message, RemoteEnd>;
  readonly #ended = Promise.withResolvers<string | undefined>();
  #began: string | null = null;
  #delivered = false;
  #joined = false;

  constructor(options: SubscriptionOptions) {
    this.#options = options;
    this.#sockets = new RemoteSockets(options.url, options.credential);
    this.#channel = new Channel(this.#sockets, this, options.from);
  }

  /** The position after which the first message was, or would be, delivered; null on a channel without history. */
  get began(): string | null {
    return this.#began;
  }

  /** Follows the channel until `stop`, then resolves to undefined, or until it is closed for good, then to the reason. */
  run(): Promise<string | undefined> {
    this.#channel.connect();
    return this.#ended.promise;
  }

  stop(): void {
    this.#channel.close();
  }

  pause(): void {
    this.#sockets.pause();
  }

  resume(): void {
    this.#sockets.resume();
  }

  changed(state: State<RemoteEnd>): void {
    if (state.at !== "waiting" && state.at !== "closed") return;
    const why = state.end && describeEnd(state.end, this.#options.url, this.#options.credential);
    if (state.at === "closed") this.#ended.resolve(why);
    else if (this.#joined) this.#options.notify(`${why}; coming back`);
    else {
      // The url may be wrong, and nothing is lost by another start.
      this.#ended.resolve(why);
      this.#channel.close();
    }
  }

  started({ position, resumed, since, returning, gap }: Start): void {
    const { notify } = this.#options;
    if (resumed === false) {
      const rest = position === null ? "" : `; going on after ${position}`;
      notify(`messages may be missing here: the server does not keep all that came after ${since ?? "what was asked for"}${rest}`);
    } else if (returning) {
      notify(`connected again; ${gap ? "messages may be missing here: the channel keeps no history" : "nothing is missing"}`);
    }
    this.#joined = true;
    if (position === null || !this.#delivered) this.#began = position;
  }

  received(message: Message, position: string | null): void {
    this.#delivered = true;
    this.#options.deliver(message, position);
  }
}

const meanings: Readonly<Record<CloseCode, string>> = {
  1001: "the server is stopping",
  1002: "the server found a broken frame",
  1003: "the channel takes no binary messages",
  1007: "the channel cannot take this text",
  1008: "too many messages were sent at once",
  1009: "a message was too large",
  1011: "the server failed",
  1013: "this reads too slowly, or the server could not deliver without a gap",
  3000: "the token has expired; set a new one in LOCKSTEP_TOKEN",
  3003: "disconnected by the operator, or not allowed any more",
};

/** Stands for a missing close frame (RFC 6455 §7.1.5). */
const CUT_OFF = 1006;

/** Describes in one line why a connection ended. */
export function describeEnd(end: RemoteEnd, url: ChannelUrl, credential: RemoteCredential): string {
  if (end.how === "closed") return `the connection ended (${end.code}: ${meaningOf(end.code)})`;
  if (end.how === "refused") return describeRefusal(end.refusal, url, credential);
  if (end.how === "unreachable") return `cannot connect to ${url.server} (${end.reason})`;
  return `${url.server} does not speak as a WebSocket server does (${end.reason})`;
}

function meaningOf(code: number): string {
  if (code === CUT_OFF) return "cut off";
  return isOurs(code) ? meanings[code] : "closed by a proxy before the server";
}

function isOurs(code: number): code is CloseCode {
  return Object.hasOwn(closings, code);
}
