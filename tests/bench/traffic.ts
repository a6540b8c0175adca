import type { Envelope } from "./envelopes.ts";
import { Histogram } from "./histogram.ts";
import { ChannelLedger } from "./ledger.ts";
import type { Listener, LoadClient } from "./load-client.ts";
import { MessageFrame } from "./message-frame.ts";
import type { Marker } from "./marker.ts";
import type { Plan } from "./plan.ts";

const STALL_MS = 1000;
/** Of frames that go out in one write. */
const BATCH_BYTES = 262_144;

const startedAt = performance.now();

/** The load's clock, in whole microseconds. */
function nowUs(): number {
  return ((performance.now() - startedAt) * 1000) | 0;
}

/** One channel of the load. */
class LoadChannel {
  readonly ledger: ChannelLedger;
  readonly members: LoadClient[] = [];
  /** Messages that are to go out with the next flush. */
  due = 0;

  constructor(window: number) {
    this.ledger = new ChannelLedger(window);
  }
}

/** Publishes, and counts what comes back. It publishes from `start` to `stop`, and times deliveries from `measure` to `stop`. */
export class Traffic implements Listener {
  readonly latencies = new Histogram();
  readonly channels: readonly LoadChannel[];
  published = 0;
  deliveries = 0;
  onJoined: (client: LoadClient) => void = () => undefined;
  onClosed: (client: LoadClient) => void = () => undefined;
  readonly #plan: Plan;
  readonly #frame: MessageFrame;
  readonly #batch: Uint8Array;
  readonly #due: LoadChannel[] = [];
  readonly #marker: Marker = { atUs: 0, sequence: 0, channel: 0 };
  #publishing = false;
  #measuring = false;
  /** The channel whose turn is next, where only some are active. */
  #turn = 0;
  #readAtUs = 0;
  #timer: Timer | undefined;

  constructor(plan: Plan, envelope: Envelope) {
    this.#plan = plan;
    this.#frame = new MessageFrame(envelope, plan.bytes);
    this.#batch = new Uint8Array(BATCH_BYTES);
    const slots = plan.perSecond === undefined ? Math.max(1, plan.window) : plan.perSecond;
    this.channels = Array.from({ length: plan.channels }, () => new LoadChannel(slots));
  }

  start(): void {
    const { perSecond } = this.#plan;
    this.#publishing = true;
    if (perSecond === undefined) {
      this.#prime();
      this.#watch();
    } else this.#timer = setInterval(() => this.#publishOn(this.channels[0]), 1000 / perSecond);
  }

  measure(): void {
    this.#measuring = true;
  }

  /** What is in flight still arrives. */
  stop(): void {
    this.#publishing = false;
    this.#measuring = false;
    clearInterval(this.#timer);
  }

  /** The socket's data: all of it is read at one time, then what has become due goes out. */
  received(client: LoadClient, data: Uint8Array): void {
    this.#readAtUs = nowUs();
    client.received(data);
    this.#flush();
  }

  joined(client: LoadClient): void {
    this.channels[client.number]?.members.push(client);
    this.onJoined(client);
  }

  delivered(client: LoadClient, atUs: number, isLast: boolean): void {
    this.deliveries += 1;
    if (this.#measuring) this.latencies.add(this.#readAtUs - atUs);
    if (isLast && this.#publishing && this.#plan.perSecond === undefined) this.#nextAfter(client.number);
  }

  closed(client: LoadClient): void {
    const members = this.channels[client.number]?.members ?? [];
    const index = members.indexOf(client);
    if (index !== -1) members.splice(index, 1);
    this.onClosed(client);
  }

  /** Fills all windows. */
  #prime(): void {
    const { active, window } = this.#plan;
    for (let index = 0; index < active * window; index += 1) this.#nextAfter(index % this.channels.length);
    this.#flush();
  }

  /** Where nothing comes for a second, what is in flight is given up, so that a loss does not end the run. */
  #watch(): void {
    let seen = -1;
    this.#timer = setInterval(() => {
      if (this.deliveries === seen) {
        for (const { ledger } of this.channels) ledger.giveUp();
        this.#prime();
      }
      seen = this.deliveries;
    }, STALL_MS);
  }

  #nextAfter(number: number): void {
    const all = this.channels.length;
    const next = this.#plan.active === all ? number : this.#turn;
    if (this.#plan.active !== all) this.#turn = (this.#turn + 1) % all;
    const channel = this.channels[next];
    if (channel === undefined) return;
    channel.due += 1;
    if (channel.due === 1) this.#due.push(channel);
  }

  #flush(): void {
    if (this.#due.length === 0) return;
    for (const channel of this.#due) {
      const { due } = channel;
      channel.due = 0;
      this.#publish(channel, due);
    }
    this.#due.length = 0;
  }

  #publishOn(channel: LoadChannel | undefined): void {
    if (channel !== undefined) this.#publish(channel, 1);
  }

  /** Several messages of one publisher go out in one write, as a pipelining client would write them. */
  #publish({ ledger, members }: LoadChannel, count: number): void {
    const publisher = members[0];
    if (publisher === undefined) return;
    const marker = this.#marker;
    marker.channel = publisher.number;
    marker.atUs = nowUs();
    let filled = 0;
    for (let index = 0; index < count; index += 1) {
      marker.sequence = ledger.publish(members.length);
      const bytes = this.#frame.marked(marker);
      this.published += 1;
      if (count === 1) {
        publisher.write(bytes);
        return;
      }
      if (filled + bytes.length > this.#batch.length) {
        publisher.write(this.#batch.subarray(0, filled));
        filled = 0;
      }
      this.#batch.set(bytes, filled);
      filled += bytes.length;
    }
    publisher.write(this.#batch.subarray(0, filled));
  }
}
