import type { Bus, BusListener, Sender } from "./bus/bus.ts";
import type { OnGap } from "./channels/kind.ts";
import { Problem, type ClosingFaultName } from "./errors.ts";
import type { Message } from "./message.ts";
import { within } from "./within.ts";

/** How long a client may wait for its channel's subscription. */
const JOIN_TIMEOUT_MS = 2500;
/** A channel without local clients is kept this long: most who leave are reconnecting. */
const RELEASE_AFTER_MS = 3000;
const RELEASE_CHECK_MS = 1000;
const BACKLOG_CHECK_MS = 50;
/** Clients with a gap are closed in small portions, at most 500 a second, so that they do not all come back at once. */
const GAP_CLOSE_MS = 20;
const GAP_CLOSE_COUNT = 9;

/** A local client of one channel, whatever carries it. */
export interface Subscriber {
  readonly onGap: OnGap;
  /** From now on, and until `unlisten`, it gets what is broadcast on the topic. */
  listen(topic: string): void;
  unlisten(topic: string): void;
  /** Closes it if more waits for it than may. */
  checkBacklog(): void;
  /** Sends it nothing more, then closes it. */
  retire(fault: ClosingFaultName): void;
}

/** A channel that has clients here, or had some a moment ago. */
export interface LocalChannel {
  readonly name: string;
  topic: string;
  readonly subscribers: Set<Subscriber>;
  /** Clients that were promised a place and have not taken it yet. */
  reserved: number;
  /** Delivered since the last look at the backlogs, in UTF-16 units of text and bytes of binary. */
  unchecked: number;
}

/** A client's place on a channel: reserved, then taken, then left; see {@link Hub}. */
export class Seat {
  readonly local: LocalChannel;
  state: "reserved" | "taken" | "left" = "reserved";

  constructor(local: LocalChannel) {
    this.local = local;
  }

  /** The channel's name on the bus. */
  get channel(): string {
    return this.local.name;
  }
}

export interface HubOptions {
  openBus(listener: BusListener): Promise<Bus>;
  /** Sends a message to all local sockets that listen to a topic. */
  readonly broadcast: (topic: string, message: Message) => void;
  /** Backlogs are looked at whenever so much was delivered on a channel, and every 50 ms. */
  readonly backlogCheckBytes: number;
}

/**
 * The heart of an instance: which local clients are on which channel, and what the bus delivers to them. One local channel is
 * one topic of the server. A topic's name holds a generation, so that clients with a gap stay behind on a topic that is never
 * used again, and nothing reaches them between the gap and the close.
 */
export class Hub implements BusListener {
  readonly #broadcast: HubOptions["broadcast"];
  readonly #backlogCheckBytes: number;
  readonly #channels = new Map<string, LocalChannel>();
  /** Channels without clients and since when, the oldest first. */
  readonly #idle = new Map<LocalChannel, number>();
  readonly #unchecked = new Set<LocalChannel>();
  readonly #withGap = new Set<Subscriber>();
  readonly #timers: ReturnType<typeof setInterval>[];
  #gapTimer: ReturnType<typeof setInterval> | undefined;
  #generation = 0;
  #bus: Bus | undefined;

  private constructor(options: HubOptions) {
    this.#broadcast = options.broadcast;
    this.#backlogCheckBytes = options.backlogCheckBytes;
    this.#timers = [setInterval(() => this.#releaseIdle(), RELEASE_CHECK_MS), setInterval(() => this.#checkBacklogs(), BACKLOG_CHECK_MS)];
  }

  /** Opens the bus, and resolves when `openBus` does. */
  static async open(options: HubOptions): Promise<Hub> {
    const hub = new Hub(options);
    try {
      hub.#bus = await options.openBus(hub);
      return hub;
    } catch (error) {
      hub.#stopTimers();
      throw error;
    }
  }

  get bus(): Bus {
    if (this.#bus === undefined) throw new Error("the hub is not open yet");
    return this.#bus;
  }

  /**
   * Resolves once everything published on the channel from then on is delivered here. The caller takes or leaves the seat in
   * the same turn of the event loop, and may be sure that nothing was missed in between.
   *
   * @throws Problem `bus-away` after 2.5 s
   */
  async reserve(channel: string): Promise<Seat> {
    const seat = new Seat(this.#enter(channel));
    const deadline = Date.now() + JOIN_TIMEOUT_MS;
    let generation: number;
    do {
      generation = this.#generation;
      if (!(await within(deadline - Date.now(), this.bus.subscribe(channel)))) {
        this.leave(seat);
        throw new Problem("bus-away", "The bus is away.");
      }
    } while (generation !== this.#generation);
    return seat;
  }

  /** The subscriber listens from now on. */
  take(seat: Seat, subscriber: Subscriber): void {
    const { local } = seat;
    seat.state = "taken";
    local.reserved -= 1;
    local.subscribers.add(subscriber);
    subscriber.listen(local.topic);
  }

  /** Gives a seat back, taken or not. A second time does nothing. */
  leave(seat: Seat, subscriber?: Subscriber): void {
    const { local, state } = seat;
    if (state === "left") return;
    seat.state = "left";
    if (state === "reserved") local.reserved -= 1;
    if (subscriber !== undefined) {
      local.subscribers.delete(subscriber);
      this.#withGap.delete(subscriber);
      subscriber.unlisten(local.topic);
    }
    // A client with a gap may have stayed longer than its channel: another one stands under the name then.
    const current = this.#channels.get(local.name) === local;
    if (!current || local.subscribers.size > 0 || local.reserved > 0) return;
    // Deleted first: a key that is set again would keep its old place.
    this.#idle.delete(local);
    this.#idle.set(local, Date.now());
  }

  publish(channel: string, message: Message, sender: Sender): void {
    this.bus.publish(channel, message, sender);
  }

  deliver(channel: string, message: Message): void {
    const local = this.#channels.get(channel);
    if (local === undefined || local.subscribers.size === 0) return;
    this.#broadcast(local.topic, message);
    local.unchecked += message.length;
    if (local.unchecked >= this.#backlogCheckBytes) this.#checkBacklog(local);
    else this.#unchecked.add(local);
  }

  lost(): void {
    this.#generation += 1;
    clearInterval(this.#gapTimer);
    this.#gapTimer = undefined;
    for (const local of this.#channels.values()) {
      const old = local.topic;
      local.topic = this.#topic(local.name);
      for (const subscriber of local.subscribers) {
        if (subscriber.onGap === "ignore") {
          subscriber.unlisten(old);
          subscriber.listen(local.topic);
        } else {
          local.subscribers.delete(subscriber);
          this.#withGap.add(subscriber);
        }
      }
    }
  }

  restored(): void {
    if (this.#withGap.size > 0) this.#gapTimer ??= setInterval(() => this.#closeWithGap(), GAP_CLOSE_MS);
  }

  close(): void {
    this.#stopTimers();
    this.bus.close();
  }

  #stopTimers(): void {
    for (const timer of this.#timers) clearInterval(timer);
    clearInterval(this.#gapTimer);
  }

  #topic(channel: string): string {
    return `${this.#generation} ${channel}`;
  }

  #enter(channel: string): LocalChannel {
    let local = this.#channels.get(channel);
    if (local === undefined) {
      local = { name: channel, topic: this.#topic(channel), subscribers: new Set(), reserved: 0, unchecked: 0 };
      this.#channels.set(channel, local);
    }
    this.#idle.delete(local);
    local.reserved += 1;
    return local;
  }

  #releaseIdle(): void {
    const before = Date.now() - RELEASE_AFTER_MS;
    for (const [local, since] of this.#idle) {
      if (since > before) break;
      this.#idle.delete(local);
      this.#channels.delete(local.name);
      this.bus.unsubscribe(local.name);
    }
  }

  #checkBacklogs(): void {
    for (const local of this.#unchecked) this.#checkBacklog(local);
  }

  #checkBacklog(local: LocalChannel): void {
    local.unchecked = 0;
    this.#unchecked.delete(local);
    for (const subscriber of local.subscribers) subscriber.checkBacklog();
  }

  #closeWithGap(): void {
    let count = 0;
    for (const subscriber of this.#withGap) {
      if ((count += 1) > GAP_CLOSE_COUNT) return;
      this.#withGap.delete(subscriber);
      subscriber.retire("gap");
    }
    clearInterval(this.#gapTimer);
    this.#gapTimer = undefined;
  }
}
