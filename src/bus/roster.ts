import type { Present } from "./bus.ts";

interface Attendance {
  count: number;
  readonly members: Map<string, number>;
}

const NOBODY: Present = { count: 0, members: new Map() };

/** Who is on the channels by this instance. */
export class Roster {
  readonly #channels = new Map<string, Attendance>();

  /** Channels where somebody is. */
  get channels(): Iterable<string> {
    return this.#channels.keys();
  }

  of(channel: string): Present {
    return this.#channels.get(channel) ?? NOBODY;
  }

  enter(channel: string, member: string | null): void {
    let attendance = this.#channels.get(channel);
    if (attendance === undefined) {
      attendance = { count: 0, members: new Map() };
      this.#channels.set(channel, attendance);
    }
    attendance.count += 1;
    if (member !== null) attendance.members.set(member, (attendance.members.get(member) ?? 0) + 1);
  }

  leave(channel: string, member: string | null): void {
    const attendance = this.#channels.get(channel);
    if (attendance === undefined) return;
    attendance.count -= 1;
    if (attendance.count === 0) this.#channels.delete(channel);
    if (member === null) return;
    const left = (attendance.members.get(member) ?? 1) - 1;
    if (left === 0) attendance.members.delete(member);
    else attendance.members.set(member, left);
  }
}
