/** Somebody on a channel. One member may have many connections. */
export interface Member {
  readonly id: string;
  /** JSON text that everybody on the channel may see. */
  readonly data?: string;
}

/**
 * Knows who is on a channel, in the whole cluster.
 *
 * A killed instance is forgotten, and the leaves of its members are reported, within 30 s. A client that comes back to another
 * instance before that causes neither a leave nor a join. Connections that come and go within one turn of the event loop may go
 * unreported.
 */
export interface Presence {
  /**
   * Adds a connection of a member, or of nobody in particular.
   *
   * @param announce reports the member's first connection in the cluster as a join on the channel, and its last one's end as a
   *   leave. The reports travel in the channel's order, and each is made once. A store that has forgotten everything reports joins
   *   again: listeners ignore the join of a member whom they know.
   */
  join(channel: string, member: Member | null, announce: boolean): void;

  /** Takes a connection away again; the arguments are those of its `join`. */
  leave(channel: string, member: Member | null, announce: boolean): void;

  /** @throws Problem `bus-away` */
  members(channel: string): Promise<Members>;
}

export interface Members {
  /** Connections, those of nobody in particular included. */
  readonly count: number;
  /** By id. */
  readonly members: ReadonlyMap<string, { readonly connections: number; readonly data?: string }>;
}

/** A member's first connection, or the end of its last one. It takes no offset: it is no message. */
export interface PresenceChange {
  readonly change: "join" | "leave";
  readonly member: Member;
}
