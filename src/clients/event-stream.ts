import type { Kind } from "../channels/kind.ts";
import type { ClosingFaultName } from "../errors.ts";
import type { Seat } from "../hub/local-channel.ts";
import type { Subscriber } from "../hub/subscriber.ts";
import { formatPosition } from "../position.ts";
import type { ClientHouse } from "./connection.ts";
import type { Client } from "./connections.ts";
import { formatMessage, formatOpening, formatReset, HEARTBEAT } from "./event-format.ts";
import type { EventTopics } from "./event-topics.ts";

const HEARTBEAT_MS = 15_000;
const RETRY_MS = 1000;

/**
 * One client of server-sent events on one channel. Events wait in a queue of its own until the response pulls them, so that a
 * client that does not read is seen, and bounded. `open` and `end` are called by http/sse.ts.
 */
export class EventStream implements Client, Subscriber {
  readonly onGap: Subscriber["onGap"];
  readonly #house: ClientHouse;
  readonly #topics: EventTopics;
  readonly #address: string;
  #seat: Seat | undefined;
  #events: Uint8Array[] = [];
  #bytes = 0;
  /** What was replayed and perhaps not read yet: it does not make a slow reader. */
  #replayBytes = 0;
  #state: "open" | "retiring" | "ended" = "open";
  #heartbeatDueMs = Date.now() + HEARTBEAT_MS;
  #retired: ClosingFaultName | undefined;
  #wake: (() => void) | undefined;
  #cut: () => void = () => undefined;

  /** @param address admitted by `connections`; its place is freed when the stream ends */
  constructor(house: ClientHouse, topics: EventTopics, kind: Kind, address: string) {
    this.#house = house;
    this.#topics = topics;
    this.#address = address;
    const spared = kind.history === undefined && kind.onGap === "ignore";
    // It stays, and gets a `reset` in the place of the gap.
    this.onGap = spared ? "ignore" : (position) => this.push(Buffer.from(formatReset(position)));
    house.connections.add(this);
  }

  /** Whether it takes no seat any more. */
  get ended(): boolean {
    return this.#state !== "open";
  }

  /** Begins without a seat, which the bus cannot give now. */
  wait(): void {
    this.push(Buffer.from(formatOpening(RETRY_MS, null)));
  }

  /** Joins. What it was promised with the seat comes first. */
  open(seat: Seat): void {
    this.#seat = seat;
    const { position, resumed, opening } = seat;
    const replay = this.#house.hub.take(seat, this);
    const events = [formatOpening(RETRY_MS, position)];
    if (resumed === false) events.push(formatReset(position));
    for (const [index, message] of replay.entries()) {
      const { epoch, start } = opening ?? { epoch: "", start: 0 };
      events.push(formatMessage(message, formatPosition(epoch, start + 1 + index)));
    }
    const bytes = Buffer.from(events.join(""));
    this.#replayBytes = bytes.length;
    this.push(bytes);
  }

  /** The response begins. @param cut ends it at once, read or not */
  begin(cut: () => void): void {
    this.#cut = cut;
  }

  /** The next part of the response, or undefined at its end. */
  async pull(): Promise<Uint8Array | undefined> {
    while (this.#events.length === 0) {
      if (this.#state !== "open") {
        this.end();
        return undefined;
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    const events = this.#events;
    this.#events = [];
    this.#bytes = 0;
    this.#replayBytes = 0;
    return Buffer.concat(events);
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
    if (this.#seat !== undefined) hub.leave(this.#seat);
    connections.remove(this);
    connections.release(this.#address);
    this.#wake?.();
    log.debug("event stream ended", { channel: this.#seat?.channel, address: this.#address, fault: this.#retired });
  }

  listen(topic: string): void {
    this.#topics.listen(topic, this);
  }

  unlisten(topic: string): void {
    this.#topics.unlisten(topic, this);
  }

  checkBacklog(): void {
    const { slowConsumerBytes, counts } = this.#house;
    if (this.#bytes <= slowConsumerBytes + this.#replayBytes) return;
    counts.slowConsumers += 1;
    this.retire("slow-reader");
  }

  retire(fault: ClosingFaultName): void {
    if (this.#state !== "open") return;
    this.#retired = fault;
    this.#state = "retiring";
    if (this.#seat !== undefined) this.#house.hub.leave(this.#seat);
    this.#house.connections.retired(this);
    this.#wake?.();
  }

  mute(): void {
    // A stream sends nothing.
  }

  terminate(): void {
    this.end();
    this.#cut();
  }

  tend(nowMs: number): void {
    if (nowMs < this.#heartbeatDueMs) return;
    this.#heartbeatDueMs = nowMs + HEARTBEAT_MS;
    this.push(Buffer.from(HEARTBEAT));
  }
}
