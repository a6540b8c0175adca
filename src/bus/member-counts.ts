import type { Member } from "./presence.ts";

export interface MemberCount {
  connections: number;
  /** The connections among them whose coming and going is announced. */
  announced: number;
  data: string | undefined;
}

export interface ChannelCount {
  /** All connections, of members and others. */
  count: number;
  readonly members: ReadonlyMap<string, MemberCount>;
}

const NOBODY: ChannelCount = { count: 0, members: new Map() };

/** The members of each channel with connections to this instance. */
export class MemberCounts {
  readonly #channels = new Map<string, { count: number; readonly members: Map<string, MemberCount> }>();

  /** Channels with somebody on them. */
  get channels(): Iterable<string> {
    return this.#channels.keys();
  }

  of(channel: string): ChannelCount {
    return this.#channels.get(channel) ?? NOBODY;
  }

  /** Returns true for the first announced connection of a member. */
  join(channel: string, member: Member | null, announce: boolean): boolean {
    let on = this.#channels.get(channel);
    if (on === undefined) {
      on = { count: 0, members: new Map() };
      this.#channels.set(channel, on);
    }
    on.count += 1;
    if (member === null) return false;
    let count = on.members.get(member.id);
    if (count === undefined) {
      count = { connections: 0, announced: 0, data: undefined };
      on.members.set(member.id, count);
    }
    count.connections += 1;
    count.data = member.data ?? count.data;
    if (!announce) return false;
    count.announced += 1;
    return count.announced === 1;
  }

  /** Returns the member as it was known if its last announced connection has ended. */
  leave(channel: string, member: Member | null, announce: boolean): Member | undefined {
    const on = this.#channels.get(channel);
    if (on === undefined) return undefined;
    on.count -= 1;
    if (on.count === 0) this.#channels.delete(channel);
    const count = member === null ? undefined : on.members.get(member.id);
    if (member === null || count === undefined) return undefined;
    count.connections -= 1;
    if (count.connections === 0) on.members.delete(member.id);
    if (!announce) return undefined;
    count.announced -= 1;
    return count.announced === 0 ? memberOf(member.id, count.data) : undefined;
  }
}

export function memberOf(id: string, data: string | undefined): Member {
  return data === undefined ? { id } : { id, data };
}

/** A member in a list. */
export function presentOf(connections: number, data: string | undefined): { connections: number; data?: string } {
  return data === undefined ? { connections } : { connections, data };
}
