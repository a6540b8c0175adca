import type { Presence } from "../bus/bus.ts";
import type { Seat } from "./local-channel.ts";

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
    if (seat.present) this.#presence().enter(local.name, subscriber.subject);
    else this.#presence().leave(local.name, subscriber.subject);
  }

  /** Its subscriber has left. */
  end({ local, subscriber, present }: Seat): void {
    if (subscriber !== undefined && present) this.#presence().leave(local.name, subscriber.subject);
  }
}
