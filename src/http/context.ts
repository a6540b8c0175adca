import type { Server } from "bun";
import type { RawProtocol } from "../protocols/raw.ts";
import type { SseProtocol } from "../protocols/sse.ts";
import type { SessionContext } from "../sessions/context.ts";
import type { Disconnections } from "../sessions/disconnections.ts";
import type { StreamTopics } from "../sessions/transports/event-stream.ts";
import type { WebSocketTransport } from "../sessions/transports/websocket.ts";
import type { Rules } from "./rules.ts";

/** The protocols of this server. */
export interface Protocols {
  readonly raw: RawProtocol;
  readonly rawWithHello: RawProtocol;
  /** One for each session: it has state. */
  sse(): SseProtocol;
}

/** The instance as its routes see it. */
export interface Instance {
  /** The rules that hold now. A reload replaces them, so a handler reads them once, or again after a wait. */
  readonly rules: Rules;
  readonly sessions: SessionContext;
  readonly protocols: Protocols;
  readonly streamTopics: StreamTopics;
  readonly longAnswers: LongAnswers;
  readonly disconnections: Disconnections;
  /** The counts of this process, as Prometheus text. */
  readonly metrics: { readonly contentType: string; text(): Promise<string> };
  /** Undefined if no other process shares the port. */
  readonly siblings: Siblings | undefined;
  readonly draining: () => boolean;
  /** @throws Problem `draining`, once the instance takes nothing new */
  readonly accept: () => void;
}

/** The part of Bun's server that routes use. */
export type HttpServer = Pick<Server<WebSocketTransport>, "requestIP" | "timeout" | "upgrade">;

/**
 * Answers one request. Returns undefined after an upgrade.
 *
 * @param server null until the server listens
 * @throws Problem for every fault that the client caused or must know
 */
export type Handler = (
  instance: Instance,
  request: Request,
  server: HttpServer | null,
) => Response | undefined | Promise<Response | undefined>;

/** The processes that share the port, this one included. Each answer comes within two seconds. */
export interface Siblings {
  /** The sum of all counts, as `/metrics` shows it; undefined if it is unknown. */
  metrics(): Promise<string | undefined>;
  /** True if every running process responds. */
  live(): Promise<boolean>;
  /** True if all processes are there and each is ready. */
  ready(): Promise<boolean>;
}

/** Answers that are produced while the client reads them. A drain waits for them. */
export class LongAnswers {
  #count = 0;
  #onNone: (() => void)[] = [];

  /** Begins one. Returns the function that ends it; calls after the first do nothing. */
  begin(): () => void {
    this.#count += 1;
    let ended = false;
    return () => {
      if (ended) return;
      ended = true;
      this.#count -= 1;
      if (this.#count > 0) return;
      for (const resolve of this.#onNone) resolve();
      this.#onNone = [];
    };
  }

  /** Resolves once there are none. */
  none(): Promise<void> {
    if (this.#count === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#onNone.push(resolve);
    });
  }
}
