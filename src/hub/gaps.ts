import type { Counts } from "../counts.ts";
import { GapClosings } from "./gap-closings.ts";
import type { LocalChannel, Seat } from "./local-channel.ts";
import type { Subscriber } from "./subscriber.ts";

export interface GapsOptions {
  readonly counts: Counts;
  /** A name for a topic that was never used before. */
  readonly topic: (channel: string) => string;
  /** Whether every subscription is live, so that who is closed can come back. */
  readonly live: () => boolean;
}

/**
 * Clients that may have missed something: nothing reaches them between the gap and the close, since they stay behind on a topic
 * that is never used again. Those who are told instead are told before they get anything more.
 */
export class Gaps {
  readonly #options: GapsOptions;
  readonly #closings = new GapClosings();

  constructor(options: GapsOptions) {
    this.#options = options;
  }

  /** A channel has a gap: its clients, that were at a position, are closed or told. */
  strand(local: LocalChannel, left: string | null): void {
    const { topic, live } = this.#options;
    const old = local.topic;
    local.topic = topic(local.name);
    local.seats.each((seat) => {
      const { subscriber } = seat;
      if (subscriber === undefined) return;
      if (subscriber.onGap === "close") {
        seat.stop(left);
        local.seats.delete(seat);
        this.#close(subscriber);
        return;
      }
      subscriber.unlisten(old);
      subscriber.listen(local.topic);
      if (subscriber.onGap !== "ignore") (local.untold ??= new Set()).add(subscriber);
    });
    if (!live()) return;
    this.tell(local);
    this.#closings.start();
  }

  /** A seat's path leads elsewhere: its subscriber gets nothing more, and is closed so that it comes back to the right place. */
  move(seat: Seat): void {
    const { local, subscriber } = seat;
    seat.move();
    if (subscriber === undefined) return;
    seat.stop(seat.position);
    local.seats.delete(seat);
    local.untold?.delete(subscriber);
    subscriber.unlisten(local.topic);
    this.#close(subscriber);
    if (this.#options.live()) this.#closings.start();
  }

  /** The log of a channel cannot be read, and its clients are not left to wait for ever. */
  abandon(local: LocalChannel): void {
    for (const { subscriber } of local.seats.all) {
      this.#options.counts.gaps += 1;
      subscriber?.retire("gap");
    }
  }

  /** Tells those who go on after a gap, before they get anything more. */
  tell(local: LocalChannel): void {
    const { untold } = local;
    if (untold === undefined) return;
    local.untold = undefined;
    for (const { onGap } of untold) if (typeof onGap === "function") onGap(local.follower?.position ?? null);
    this.#options.counts.gaps += untold.size;
  }

  /** It has left. */
  forget(local: LocalChannel, subscriber: Subscriber): void {
    local.untold?.delete(subscriber);
    this.#closings.delete(subscriber);
  }

  /** Closes those who wait for that, now that they can come back. */
  start(): void {
    this.#closings.start();
  }

  pause(): void {
    this.#closings.pause();
  }

  #close(subscriber: Subscriber): void {
    this.#closings.add(subscriber);
    this.#options.counts.gaps += 1;
  }
}
