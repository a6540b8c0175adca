import { Kind, type Target } from "../channels/kind.ts";
import { historyOf } from "../bus/bus.ts";
import type { Hub } from "../hub/hub.ts";
import type { Registry } from "./registry.ts";

/**
 * The channel on which all instances hear of subjects that an operator disconnects. No client reaches it: neither the values of paths
 * nor the names of kinds hold control characters. It has a log, so that an instance which loses Redis hears of them afterwards.
 */
const CHANNEL = "lockstep:\u{1}disconnections";
const RETENTION = { size: 1000, ttlMs: 3_600_000 };

/** Closes the sessions of a subject on every instance. */
export class Disconnections {
  readonly #hub: Hub;
  readonly #registry: Registry;
  readonly #target: Target;
  #started = false;

  constructor(hub: Hub, registry: Registry) {
    this.#hub = hub;
    this.#registry = registry;
    const kind = new Kind({ path: "disconnections", history: { size: RETENTION.size, ttl: `${RETENTION.ttlMs}ms` } });
    this.#target = { kind, channel: CHANNEL, segments: [], values: new Map(), owner: undefined };
  }

  /** Hears orders of all instances from now on. A second time does nothing. */
  start(): void {
    if (this.#started) return;
    this.#started = true;
    this.#hub.follow(this.#target, (subject) => this.#registry.disconnect(String(subject)));
  }

  /**
   * Resolves once all instances that can be reached will hear it.
   *
   * @throws Problem `bus-away`, `not-confirmed`, `queue-full`
   */
  order(subject: string): Promise<void> {
    return new Promise((resolve, refused) => {
      historyOf(this.#hub.bus).append(CHANNEL, subject, RETENTION, { confirmed: () => resolve(), refused, broken: false });
    });
  }
}
