import type { Retention } from "../position.ts";

/** Scheduled messages, once for the whole cluster. */
export interface Ticks {
  /**
   * Claims a tick and publishes its message, in one step: of all instances that claim a tick, exactly one publishes. Resolves to
   * true on that one.
   *
   * @throws Problem `bus-away`, `not-confirmed`; a tick is never kept for later
   */
  claim(tick: Tick): Promise<boolean>;
}

export interface Tick {
  /** Names the schedule, the same on every instance. */
  readonly schedule: string;
  /** When the tick was due, in milliseconds since 1970. */
  readonly dueMs: number;
  /** Milliseconds to the next one. */
  readonly periodMs: number;
  readonly channel: string;
  /** Undefined on a channel without history. */
  readonly retention: Retention | undefined;
  readonly text: string;
}
