import type { Presence, Present } from "./bus.ts";
import { Roster } from "./roster.ts";

/** Presence where there is one instance. */
export class MemoryPresence implements Presence {
  readonly #roster = new Roster();

  enter(channel: string, member: string | null): void {
    this.#roster.enter(channel, member);
  }

  leave(channel: string, member: string | null): void {
    this.#roster.leave(channel, member);
  }

  present(channel: string): Promise<Present> {
    const { count, members } = this.#roster.of(channel);
    return Promise.resolve({ count, members: new Map(members) });
  }
}
