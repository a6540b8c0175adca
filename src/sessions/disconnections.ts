import { Kind, type Target } from "../channels/kind.ts";
import type { Hub } from "../hub/hub.ts";
import type { Connections } from "./registry.ts";

/**
 * Where all instances hear whom an operator wants to leave. No client comes here: neither the values of paths nor the names of
 * kinds hold control characters. It has a log, so that an instance which loses Redis hears of it afterwards.
 */
const CHANNEL = "lockstep:\u{1}disconnections";
const RETENTION = { size: 1000, ttlMs: 3_600_000 };

/** Closes the connections of a subject, wherever they are. */
export class Disconnections {
  readonly #hub: Hub;
  readonly #connections: Connections;
  readonly #target: Target;
  #started = false;

  constructor(hub: Hub, connections: Connections) {
    this.#hub = hub;
    this.#connections = connections;
    const kind = new Kind({ path: "disconnections", history: { size: RETENTION.size, ttl: `${RETENTION.ttlMs}ms` } });
    this.#target = { kind, channel: CHANNEL, segments: [], values: new Map(), owner: undefined };
  }

  /** Begins to hear what is ordered anywhere. A second time does nothing. */
  start(): void {
    if (this.#started) return;
    this.#started = true;
    this.#hub.follow(this.#target, (subject) => this.#connections.disconnect(String(subject)));
  }

  /**
   * Resolves once all instances that can be reached will hear it.
   *
   * @throws Problem `bus-away`, `not-confirmed`, `queue-full`
   */
  order(subject: string): Promise<void> {
    return new Promise((resolve, refused) => {
      this.#hub.history.append(CHANNEL, subject, RETENTION, { confirmed: () => resolve(), refused, broken: false });
    });
  }
}
