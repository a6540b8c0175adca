import type { Member, Presence } from "../bus/presence.ts";
import type { Seat } from "./local-channel.ts";
import type { Subscriber } from "./subscriber.ts";

/** Says who is on the channels whose kind tells. */
export class Attendance {
  readonly #presence: () => Presence;

  constructor(presence: () => Presence) {
    this.#presence = presence;
  }

  /** Its subscriber is there; it is said, or not said any more, as the channel's kind wants it now. */
  show(seat: Seat): void {
    const { local, subscriber, present } = seat;
    if (subscriber === undefined || present === local.kind.presence) return;
    seat.present = local.kind.presence;
    if (seat.present) this.#presence().join(local.name, memberOf(subscriber), false);
    else this.#presence().leave(local.name, memberOf(subscriber), false);
  }

  /** Its subscriber has left. */
  end({ local, subscriber, present }: Seat): void {
    if (subscriber !== undefined && present) this.#presence().leave(local.name, memberOf(subscriber), false);
  }
}

function memberOf({ subject }: Subscriber): Member | null {
  return subject === null ? null : { id: subject };
}
