import { delayMs } from "./closing.ts";
import { Course, parseHello } from "./course.ts";
import { reasonOfClose, reasonOfRefusal, unreachable, type Reason } from "./reason.ts";
import type { Server } from "./server.ts";

export type State =
  | { readonly at: "connecting" }
  | { readonly at: "open" }
  /** It comes back by itself. */
  | { readonly at: "waiting"; readonly dueMs: number; readonly reason: Reason }
  /** It does not. */
  | { readonly at: "stopped"; readonly reason: Reason };

/** How a connection began. */
export interface Beginning {
  /** Null on channels without history. */
  readonly position: string | null;
  readonly resumed: boolean | null;
  /** Whether the server keeps another history than the one before. */
  readonly anew: boolean;
  /** Whether there was one before, which this one goes on from. */
  readonly returning: boolean;
}

export interface LinkListener {
  changed(state: State): void;
  began(beginning: Beginning): void;
  received(data: string | ArrayBuffer, position: string | null): void;
}

/** How long an upgrade may take, and after what time open a connection counts as a good one. */
const OPENING_MS = 10_000;
const SETTLED_MS = 1000;

/**
 * A connection to one channel that comes back by itself, where coming back makes sense, with the position that it has counted to. Each
 * attempt has a number; what an older one still brings is not heard.
 */
export class Link {
  readonly #path: string;
  readonly #server: Server;
  readonly #listener: LinkListener;
  readonly #course = new Course();
  #recent: number;
  /** Whether the channel keeps history; undefined until the server was asked. */
  #history: boolean | undefined;
  #state: State = { at: "connecting" };
  #socket: WebSocket | undefined;
  #attempt = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #failures = 0;
  #returning = false;

  /** @param recent how many messages come first */
  constructor(path: string, recent: number, server: Server, listener: LinkListener) {
    this.#path = path;
    this.#recent = recent;
    this.#server = server;
    this.#listener = listener;
  }

  get state(): State {
    return this.#state;
  }

  get position(): string | undefined {
    return this.#course.position;
  }

  get history(): boolean | undefined {
    return this.#history;
  }

  /** Connects now, whatever is; what was missed meanwhile follows. */
  connect(): void {
    this.#end();
    this.#set({ at: "connecting" });
    void this.#try(this.#attempt);
  }

  /** Where it waits for its next try, that comes now, but for a moment that differs between clients. */
  hurry(): void {
    if (this.#state.at !== "waiting") return;
    clearTimeout(this.#timer);
    this.#wait(delayMs("at-once", 0, Math.random()), this.#state.reason);
  }

  /** As `connect`, but with the last messages instead of what was missed. */
  replay(recent: number): void {
    this.#recent = recent;
    this.#course.forget();
    this.#returning = false;
    this.connect();
  }

  leave(): void {
    this.#end();
    this.#set({ at: "stopped", reason: { word: "closed.here", comeBack: "never" } });
  }

  /** Gives up a connection that nothing comes over any more, and comes back. */
  abandon(): void {
    if (this.#state.at !== "open") return;
    this.#end();
    this.#fail(reasonOfClose(1006, ""));
  }

  /** Whether it was handed to the browser. */
  send(text: string): boolean {
    if (this.#socket?.readyState !== WebSocket.OPEN || this.#state.at !== "open") return false;
    this.#socket.send(text);
    return true;
  }

  async #try(attempt: number): Promise<void> {
    if (this.#history === undefined) {
      const answer = await this.#server.ask(`history/${this.#path}?limit=1`);
      if (attempt !== this.#attempt) return;
      if (answer === undefined) return this.#fail(unreachable);
      if (answer.status !== 200 && answer.problem !== "no-history") return this.#fail(reasonOfRefusal(answer, this.#server.token));
      this.#history = answer.status === 200;
    }
    this.#open(attempt, this.#history);
  }

  #open(attempt: number, history: boolean): void {
    const socket = this.#server.open(`ws/${this.#path}${this.#query}`);
    this.#socket = socket;
    this.#timer = setTimeout(() => socket.close(), OPENING_MS);
    let openedMs: number | undefined;
    let expectsHello = history;
    // What it had counted to, where it kept history before, is no place any more.
    if (!history) this.#course.forget();
    socket.addEventListener("open", () => {
      if (attempt !== this.#attempt) return;
      clearTimeout(this.#timer);
      openedMs = Date.now();
      this.#set({ at: "open" });
      if (!history) this.#begin(null, null, false);
    });
    socket.addEventListener("message", ({ data }: MessageEvent<string | ArrayBuffer>) => {
      if (attempt !== this.#attempt) return;
      if (expectsHello) {
        expectsHello = false;
        const hello = typeof data === "string" ? parseHello(data) : undefined;
        const isAnew = hello !== undefined && this.#course.begin(hello);
        this.#begin(this.#course.position ?? null, hello?.resumed ?? null, isAnew);
        return;
      }
      this.#course.advance();
      this.#listener.received(data, this.#course.position ?? null);
    });
    socket.addEventListener("close", ({ code, reason }) => {
      if (attempt !== this.#attempt) return;
      this.#end();
      // It may keep history since: then clients are told to come back.
      if (code === 1013 && !history) this.#history = undefined;
      if (openedMs === undefined) void this.#askWhy(this.#attempt);
      else {
        if (Date.now() - openedMs >= SETTLED_MS) this.#failures = 0;
        this.#fail(reasonOfClose(code, reason));
      }
    });
  }

  get #query(): string {
    return this.#history === true ? this.#course.query(this.#recent) : "";
  }

  #begin(position: string | null, resumed: boolean | null, anew: boolean): void {
    this.#listener.began({ position, resumed, anew, returning: this.#returning });
    this.#returning = true;
  }

  async #askWhy(attempt: number): Promise<void> {
    const answer = await this.#server.ask(`ws/${this.#path}${this.#query}`);
    if (attempt !== this.#attempt) return;
    if (answer === undefined) return this.#fail(unreachable);
    let reason = reasonOfRefusal(answer, this.#server.token);
    if (reason.word === "refused.changed") this.#history = undefined;
    if (reason.word === "refused.silent") {
      // The bus is looked at last, after the upgrade, so this asks for it.
      const ready = await this.#server.ask("readyz");
      if (attempt !== this.#attempt) return;
      if (ready?.status === 503) reason = reasonOfRefusal(ready, this.#server.token);
    }
    this.#fail(reason);
  }

  #fail(reason: Reason): void {
    const { comeBack } = reason;
    if (comeBack === "never" || comeBack === "with-token") return this.#set({ at: "stopped", reason });
    const waitMs = delayMs(comeBack, this.#failures, Math.random());
    this.#failures += 1;
    this.#wait(waitMs, reason);
  }

  #wait(waitMs: number, reason: Reason): void {
    this.#timer = setTimeout(() => this.connect(), waitMs);
    this.#set({ at: "waiting", dueMs: Date.now() + waitMs, reason });
  }

  #end(): void {
    this.#attempt += 1;
    clearTimeout(this.#timer);
    this.#socket?.close();
    this.#socket = undefined;
  }

  #set(state: State): void {
    this.#state = state;
    this.#listener.changed(state);
  }
}
