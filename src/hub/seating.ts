import type { Target } from "../channels/kind.ts";
import type { Counts } from "../counts.ts";
import { Problem } from "../errors.ts";
import type { Message } from "../message.ts";
import type { Attendance } from "./attendance.ts";
import type { Gaps } from "./gaps.ts";
import type { JoinFrom, Joining } from "./joining.ts";
import { Seat, type Opening } from "./local-channel.ts";
import type { LocalChannels } from "./local-channels.ts";
import type { Subscriber } from "./subscriber.ts";

/** After so long a client is not left to wait for the rest of its replay any more. */
const STUCK_MS = 5000;

export interface SeatingOptions {
  readonly channels: LocalChannels;
  readonly joining: Joining;
  readonly gaps: Gaps;
  readonly attendance: Attendance;
  readonly counts: Counts;
  busReady(): boolean;
}

/** Gives clients their seats on channels, and takes them back. */
export class Seating {
  readonly #options: SeatingOptions;

  constructor(options: SeatingOptions) {
    this.#options = options;
  }

  /**
   * Resolves once everything published on the channel from then on is delivered here, with what was asked for of its history.
   * The caller takes or leaves the seat in the same turn of the event loop, and may be sure that nothing was missed in between.
   * A seat that has `moved` meanwhile can only be left.
   *
   * @throws Problem `bus-away` after 2.5 s
   */
  async reserve(target: Target, from?: JoinFrom): Promise<Seat> {
    const seat = this.#enter(target);
    this.#hold(seat);
    const opened = this.#options.joining.atOnce(seat, from);
    if (opened !== undefined) {
      seat.opening = opened.opening;
      return seat;
    }
    try {
      const moved = new Promise<undefined>((resolve) => {
        seat.onMoved = () => resolve(undefined);
      });
      seat.opening = await Promise.race([this.#options.joining.prepare(seat, from), moved]);
      return seat;
    } catch (error) {
      this.leave(seat);
      throw error;
    } finally {
      seat.onMoved = undefined;
    }
  }

  /**
   * The subscriber listens from now on, or while its seat is `replaying`, once it has asked for more. Returns what it has to be
   * sent before anything else.
   */
  take(seat: Seat, subscriber: Subscriber): readonly Message[] {
    seat.subscriber = subscriber;
    this.#options.counts.joins += 1;
    this.#options.attendance.show(seat);
    return this.#sit(seat, subscriber);
  }

  /**
   * Sends the next part of what is replayed, by `send`, in the turn in which it holds; with the last one the subscriber listens.
   *
   * @throws Problem `bus-away` after 2.5 s: try again; `gap` where what comes next is not kept any more
   */
  async more(seat: Seat, send: (messages: readonly Message[]) => void): Promise<void> {
    const { opening, subscriber } = seat;
    if (seat.state !== "replaying" || opening === undefined || subscriber === undefined) return;
    const { epoch, start } = opening;
    this.#hold(seat);
    let next: Opening | undefined;
    try {
      next = await this.#options.joining.prepare(seat, { since: { epoch, offset: start } });
      seat.stuckSinceMs = undefined;
    } catch (error) {
      this.#stuck(seat);
      throw error;
    }
    if (!isReplaying(seat)) return;
    if (seat.moved || next?.resumed !== true) throw new Problem("gap", "What comes next is not kept any more.");
    seat.opening = next;
    send(this.#sit(seat, subscriber));
  }

  /** Gives a seat back, taken or not. A second time does nothing. */
  leave(seat: Seat): void {
    const { local, state, subscriber } = seat;
    if (state === "left") return;
    seat.stop(seat.position);
    seat.state = "left";
    this.#release(seat);
    local.keep(seat);
    if (subscriber !== undefined) {
      local.seats.delete(seat);
      this.#options.gaps.forget(local, subscriber);
      subscriber.unlisten(local.topic);
      this.#options.attendance.end(seat);
    }
    if (local.empty) this.#options.channels.vacated(local);
  }

  #enter(target: Target): Seat {
    const local = this.#options.channels.enter(target);
    const seat = new Seat(local, target);
    local.promise(seat);
    return seat;
  }

  /** The seat is taken now, if what it begins with reaches the end of the log. */
  #sit(seat: Seat, subscriber: Subscriber): readonly Message[] {
    const { local, opening } = seat;
    let first: readonly Message[] = [];
    if (local.follower !== undefined && opening !== undefined) {
      const { epoch, start, messages, whole } = opening;
      const end = start + messages.length;
      const since = local.follower.heldAfter(epoch, end);
      this.#release(seat);
      if (!whole || since === undefined) {
        // Also where the log went on too far, or began anew, in this very turn: the client asks again.
        seat.state = "replaying";
        seat.opening = { ...opening, start: end, messages: [] };
        return messages;
      }
      first = since.length === 0 ? messages : [...messages, ...since];
    }
    seat.state = "taken";
    seat.opening = undefined;
    local.keep(seat);
    local.seats.add(seat);
    subscriber.listen(local.topic);
    return first;
  }

  /** @throws Problem `gap` once the client has waited for too long while the bus is there */
  #stuck(seat: Seat): void {
    if (!this.#options.busReady()) return;
    seat.stuckSinceMs ??= Date.now();
    if (Date.now() - seat.stuckSinceMs > STUCK_MS) throw new Problem("gap", "What comes next cannot be read.");
  }

  #hold(seat: Seat): void {
    if (seat.holding) return;
    seat.holding = true;
    seat.local.follower?.hold();
  }

  #release(seat: Seat): void {
    if (!seat.holding) return;
    seat.holding = false;
    seat.local.follower?.release();
  }
}

/** Asked anew after an await: the client may be gone. */
function isReplaying(seat: Seat): boolean {
  return seat.state === "replaying";
}
