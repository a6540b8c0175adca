import { subjectOf } from "../access/principal.ts";
import { Problem, type ClosingFaultName } from "../errors.ts";
import type { Seat } from "../hub/local-channel.ts";
import type { Subscriber } from "../hub/subscriber.ts";
import type { Message } from "../message.ts";
import { formatPosition } from "../position.ts";
import { blame } from "./blame.ts";
import type { ClientHouse } from "./connection.ts";
import type { Client, Guest } from "./registry.ts";
import { formatMessage, formatOpening, formatPlace, formatReset, HEARTBEAT } from "./event-format.ts";
import type { EventTopics } from "./event-topics.ts";

const HEARTBEAT_MS = 15_000;
const RETRY_MS = 1000;

/**
 * One client of server-sent events on one channel. Events wait in a queue of its own until the response pulls them, so that a
 * client that does not read is seen, and bounded. `open` and `end` are called by http/sse.ts.
 */
export class EventStream implements Client, Subscriber {
  place = -1;
  readonly guest: Guest;
  readonly #house: ClientHouse;
  readonly #topics: EventTopics;
  #seat: Seat | undefined;
  #events: Uint8Array[] = [];
  #bytes = 0;
  /** Where the replay has got to. */
  #replayed = 0;
  #epoch = "";
  #waited = false;
  /** Since when the response has not asked for more: undefined while it waits for some. */
  #blockedSinceMs: number | undefined = Date.now();
  #state: "open" | "retiring" | "ended" = "open";
  readonly #startedMs = Date.now();
  #heartbeatDueMs = this.#startedMs + HEARTBEAT_MS;
  #retired: ClosingFaultName | undefined;
  #wake: (() => void) | undefined;
  #cut: () => void = () => undefined;

  constructor(house: ClientHouse, topics: EventTopics, guest: Guest) {
    this.guest = guest;
    this.#house = house;
    this.#topics = topics;
    house.connections.add(this);
  }

  get onGap(): Subscriber["onGap"] {
    const kind = this.#seat?.target.kind;
    if (kind?.history === undefined && kind?.onGap === "ignore") return "ignore";
    // It stays, and gets a `reset` in the place of the gap.
    return (position) => this.push(Buffer.from(formatReset(position)));
  }

  get subject(): string | null {
    return subjectOf(this.guest.principal);
  }

  /** Whether it takes no seat any more. */
  get ended(): boolean {
    return this.#state !== "open";
  }

  /** Begins without a seat, which the bus cannot give now. A second time does nothing. */
  wait(): void {
    if (this.#waited) return;
    this.#waited = true;
    this.push(Buffer.from(formatOpening(RETRY_MS, null)));
  }

  /** Joins. What it was promised with the seat comes first. */
  open(seat: Seat): void {
    this.#seat = seat;
    const { position, resumed, opening } = seat;
    const replay = this.#house.hub.seating.take(seat, this);
    if (!this.#waited) this.push(Buffer.from(formatOpening(RETRY_MS, position)));
    else if (position !== null) this.push(Buffer.from(formatPlace(position)));
    if (resumed === false) this.push(Buffer.from(formatReset(position)));
    this.#epoch = opening?.epoch ?? "";
    this.#replayed = opening?.start ?? 0;
    this.#pushReplay(replay);
  }

  /** The response begins. @param cut ends it at once, read or not */
  begin(cut: () => void): void {
    this.#cut = cut;
  }

  /** The next part of the response, or undefined at its end. */
  async pull(): Promise<Uint8Array | undefined> {
    this.#blockedSinceMs = undefined;
    while (this.#events.length === 0) {
      if (this.#state !== "open") {
        this.end();
        return undefined;
      }
      if (this.#seat?.state === "replaying") await this.#replay(this.#seat);
      else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    }
    const events = this.#events;
    this.#events = [];
    this.#bytes = 0;
    this.#blockedSinceMs = Date.now();
    return Buffer.concat(events);
  }

  /** The next part of the replay, now that the client has read what it was sent. */
  async #replay(seat: Seat): Promise<void> {
    try {
      await this.#house.hub.seating.more(seat, (messages) => this.#pushReplay(messages));
    } catch (error) {
      if (!(error instanceof Problem) || error.fault !== "bus-away") this.retire("gap");
    }
  }

  #pushReplay(messages: readonly Message[]): void {
    const events = messages.map((message) => formatMessage(message, formatPosition(this.#epoch, (this.#replayed += 1))));
    if (events.length > 0) this.push(Buffer.from(events.join("")));
  }

  push(event: Uint8Array): void {
    if (this.#state !== "open") return;
    this.#events.push(event);
    this.#bytes += event.length;
    this.#wake?.();
  }

  /** The client is gone, or has got all. A second time does nothing. */
  end(): void {
    if (this.#state === "ended") return;
    this.#state = "ended";
    this.#events = [];
    const { hub, connections, log } = this.#house;
    if (this.#seat !== undefined) hub.seating.leave(this.#seat);
    connections.remove(this);
    connections.release(this.guest.address);
    this.#wake?.();
    const { address } = this.guest;
    const duration_ms = Date.now() - this.#startedMs;
    log.debug("event stream ended", {
      channel: this.#seat?.channel,
      sub: this.subject ?? undefined,
      address,
      fault: this.#retired,
      duration_ms,
    });
  }

  listen(topic: string): void {
    this.#topics.listen(topic, this);
  }

  unlisten(topic: string): void {
    this.#topics.unlisten(topic, this);
  }

  checkBacklog(): void {
    const { limits, counts } = this.#house;
    // What is there while the response asks for more goes out at once, however much it is.
    if (this.#blockedSinceMs === undefined || this.#bytes <= limits.slowConsumerBytes) return;
    counts.slowConsumers += 1;
    this.retire("slow-reader");
  }

  retire(fault: ClosingFaultName): void {
    if (this.#state !== "open") return;
    this.#retired = fault;
    this.#state = "retiring";
    if (this.#seat !== undefined) this.#house.hub.seating.leave(this.#seat);
    this.#house.connections.retired(this);
    blame(this.#house, this.guest, fault, this.#seat?.channel);
    this.#wake?.();
  }

  reconsider(): void {
    // A stream publishes nothing.
  }

  mute(): void {
    // A stream sends nothing.
  }

  terminate(): void {
    this.end();
    this.#cut();
  }

  tend(nowMs: number, intervalMs: number, mayCut: boolean): void {
    // A peer that reads nothing for two intervals is dead.
    if (mayCut && nowMs - (this.#blockedSinceMs ?? nowMs) > 2 * intervalMs) {
      this.terminate();
      return;
    }
    if (nowMs < this.#heartbeatDueMs) return;
    this.#heartbeatDueMs = nowMs + HEARTBEAT_MS;
    this.push(Buffer.from(HEARTBEAT));
  }
}
