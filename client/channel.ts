import { delayMs, reconnectAfter, type SocketEnd } from "./reconnect.ts";

/** The beginning of a newly opened socket. */
export interface Beginning {
  /** The position after which its messages follow; null on a channel without history. */
  readonly position: string | null;
  /** Everything after the requested position follows; false if not, null if no position was requested. */
  readonly resumed: boolean | null;
}

/** Receives what happens to one socket. A socket reports nothing before `open` has returned, and ends once. */
export interface SocketEvents<Data, End extends SocketEnd> {
  opened(beginning: Beginning): void;
  received(data: Data): void;
  ended(end: End): void;
}

export interface Socket {
  send(data: string | Uint8Array<ArrayBuffer>): void;
  close(): void;
}

/** Opens sockets to one channel. `query` is empty, or `?since=…` or `?recent=…`, as `GET /ws/<path>` takes it. */
export interface Sockets<Data, End extends SocketEnd> {
  open(query: string, events: SocketEvents<Data, End>): Socket;
}

export type State<End extends SocketEnd> =
  | { readonly at: "connecting" }
  | { readonly at: "open" }
  /** Connects again at `dueMs`, as `Date.now()` counts. */
  | { readonly at: "waiting"; readonly dueMs: number; readonly end: End }
  /** Stays closed until `connect`. `end` is undefined after `close`. */
  | { readonly at: "closed"; readonly end: End | undefined };

/** The beginning of each connection, as the listener sees it. */
export interface Start extends Beginning {
  /** The requested position. */
  readonly since: string | null;
  /** The channel was open before. */
  readonly returning: boolean;
  /** Messages may be missing before what follows. */
  readonly gap: boolean;
}

export interface ChannelListener<Data, End extends SocketEnd> {
  changed(state: State<End>): void;
  /** Called after each `changed` to `open`, before its messages. */
  started(start: Start): void;
  /** @param position null on a channel without history */
  received(data: Data, position: string | null): void;
}

export interface ChannelOptions {
  /** Begins after this position. */
  readonly since?: string | undefined;
  /** Begins with the last so many messages. */
  readonly recent?: number | undefined;
  /** Each `open` uses a new token, so that a refused or expired one is a reason to connect again. */
  readonly renewsToken?: boolean;
}

/** A socket that was open for so long counts as a success. */
const SETTLED_MS = 1000;

/**
 * One channel over as many sockets as it takes. Frames carry no positions, so it counts them from where the server said that they
 * begin, and asks each new socket for what follows. Messages arrive once and in order; `started` reports every possible gap.
 */
export class Channel<Data, End extends SocketEnd> {
  readonly #sockets: Sockets<Data, End>;
  readonly #listener: ChannelListener<Data, End>;
  readonly #renewsToken: boolean;
  #recent: number;
  #position: { readonly epoch: string; offset: number } | undefined;
  #state: State<End> = { at: "closed", end: undefined };
  #socket: Socket | undefined;
  /** Numbers the sockets: an older one is not heard any more. */
  #attempt = 0;
  #openedMs: number | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #failures = 0;
  #returning = false;
  #wasOpen = false;

  /** @throws Error if `since` is not a position */
  constructor(sockets: Sockets<Data, End>, listener: ChannelListener<Data, End>, options: ChannelOptions = {}) {
    this.#sockets = sockets;
    this.#listener = listener;
    this.#renewsToken = options.renewsToken ?? false;
    this.#recent = options.recent ?? 0;
    if (options.since !== undefined && !this.#moveTo(options.since)) throw new Error(`not a position: ${options.since}`);
  }

  get state(): State<End> {
    return this.#state;
  }

  /** The position of the last message, or the one to begin after; null on a channel without history. */
  get position(): string | null {
    return this.#position === undefined ? null : `${this.#position.epoch}-${this.#position.offset}`;
  }

  /** Opens a socket now, in place of any other. */
  connect(): void {
    this.#leaveSocket();
    const attempt = this.#attempt;
    this.#set({ at: "connecting" });
    // The listener may have closed it.
    if (attempt !== this.#attempt) return;
    const since = this.position;
    const query = since !== null ? `?since=${encodeURIComponent(since)}` : this.#recent > 0 ? `?recent=${this.#recent}` : "";
    const whileCurrent = (act: () => void): void => {
      if (attempt === this.#attempt) act();
    };
    this.#socket = this.#sockets.open(query, {
      opened: (beginning) => whileCurrent(() => this.#opened(beginning, since)),
      received: (data) => whileCurrent(() => this.#received(data)),
      ended: (end) => whileCurrent(() => this.#ended(end, query)),
    });
  }

  /** Shortens a wait to what a first return takes: the server is known to be well again. */
  hurry(): void {
    if (this.#state.at !== "waiting") return;
    clearTimeout(this.#timer);
    this.#wait(delayMs("at-once", 0, Math.random()), this.#state.end);
  }

  /** Connects anew with the last so many messages instead of the missed ones. */
  restart(recent: number): void {
    this.#recent = recent;
    this.#position = undefined;
    this.#returning = false;
    this.connect();
  }

  /** Gives up an open socket that has gone silent. The channel connects again as if it had ended so. */
  abandon(end: End): void {
    if (this.#state.at === "open") this.#ended(end, "");
  }

  /** @returns false unless the channel is open; true promises nothing, only the echo does */
  send(data: string | Uint8Array<ArrayBuffer>): boolean {
    if (this.#state.at !== "open") return false;
    this.#socket?.send(data);
    return true;
  }

  close(): void {
    this.#leaveSocket();
    this.#set({ at: "closed", end: undefined });
  }

  #opened(beginning: Beginning, since: string | null): void {
    const { resumed } = beginning;
    this.#openedMs = Date.now();
    this.#position = undefined;
    if (beginning.position !== null) this.#moveTo(beginning.position);
    const { position } = this;
    const returning = this.#returning;
    this.#returning = true;
    this.#wasOpen = true;
    this.#set({ at: "open" });
    this.#listener.started({ position, resumed, since, returning, gap: resumed !== true && (returning || since !== null) });
  }

  #received(data: Data): void {
    if (this.#position !== undefined) this.#position.offset += 1;
    this.#listener.received(data, this.position);
  }

  #ended(end: End, query: string): void {
    if (this.#openedMs !== undefined && Date.now() - this.#openedMs >= SETTLED_MS) this.#failures = 0;
    this.#leaveSocket();
    // 400 to what was right before: the channel keeps no history any more, so it goes on without.
    if (end.status === 400 && query !== "" && this.#wasOpen) {
      this.#position = undefined;
      this.#recent = 0;
      this.connect();
      return;
    }
    const reconnect = reconnectAfter(end);
    if (reconnect === "never" || (reconnect === "with-token" && !this.#renewsToken)) {
      this.#set({ at: "closed", end });
      return;
    }
    const waitMs = delayMs(reconnect === "later" ? "later" : "at-once", this.#failures, Math.random());
    this.#failures += 1;
    this.#wait(Math.max((end.retryAfterS ?? 0) * 1000, waitMs), end);
  }

  #wait(waitMs: number, end: End): void {
    this.#timer = setTimeout(() => this.connect(), waitMs);
    this.#set({ at: "waiting", dueMs: Date.now() + waitMs, end });
  }

  #leaveSocket(): void {
    this.#attempt += 1;
    this.#openedMs = undefined;
    clearTimeout(this.#timer);
    this.#socket?.close();
    this.#socket = undefined;
  }

  /** @returns false if the text is not a position, `<epoch>-<offset>` */
  #moveTo(position: string): boolean {
    const [, epoch, offset] = /^([^-\s]+)-(\d{1,15})$/.exec(position) ?? [];
    if (epoch !== undefined) this.#position = { epoch, offset: Number(offset) };
    return epoch !== undefined;
  }

  #set(state: State<End>): void {
    this.#state = state;
    this.#listener.changed(state);
  }
}
