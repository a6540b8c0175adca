import type { BusListener } from "../bus.ts";
import { MemberCounts, presentOf } from "../member-counts.ts";
import type { Member, Members, Presence } from "../presence.ts";

/** Presence where there is one instance. */
export class MemoryPresence implements Presence {
  readonly #listener: BusListener;
  readonly #counts = new MemberCounts();
  #closed = false;

  constructor(listener: BusListener) {
    this.#listener = listener;
  }

  join(channel: string, member: Member | null, announce: boolean): void {
    const isFirst = this.#counts.join(channel, member, announce);
    if (isFirst && member !== null) this.#report(channel, "join", member);
  }

  leave(channel: string, member: Member | null, announce: boolean): void {
    const left = this.#counts.leave(channel, member, announce);
    if (left !== undefined) this.#report(channel, "leave", left);
  }

  members(channel: string): Promise<Members> {
    const { count, members } = this.#counts.of(channel);
    const listed = Array.from(members, ([id, of]) => [id, presentOf(of.connections, of.data)] as const);
    return Promise.resolve({ count, members: new Map(listed) });
  }

  close(): void {
    this.#closed = true;
  }

  #report(channel: string, change: "join" | "leave", member: Member): void {
    if (!this.#closed) this.#listener.deliverPresence(channel, { change, member });
  }
}
