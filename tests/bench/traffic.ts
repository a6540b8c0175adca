import type { Envelope } from "./envelopes.ts";
import { Histogram } from "./histogram.ts";
import { ChannelLedger } from "./ledger.ts";
import type { Listener, LoadClient } from "./load-client.ts";
import { MessageFrame } from "./message-frame.ts";
import type { Marker } from "./marker.ts";
import type { Plan } from "./plan.ts";

const STALL_MS = 1000;

const startedAt = performance.now();

/** The load's clock, in whole microseconds. */
function nowUs(): number {
  return ((performance.now() - startedAt) * 1000) | 0;
}

/** One channel of the load. */
class LoadChannel {
  readonly ledger: ChannelLedger;
  readonly members: LoadClient[] = [];

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
    const slots = plan.perSecond === undefined ? Math.max(1, plan.window) : plan.perSecond;
    this.channels = Array.from({ length: plan.channels }, () => new LoadChannel(slots));
  }

  start(): void {
    const { perSecond } = this.#plan;
    this.#publishing = true;
    if (perSecond === undefined) {
      this.#prime();
      this.#watch();
    } else this.#timer = setInterval(() => this.#publish(this.channels[0]), 1000 / perSecond);
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

  /** The socket's data: all of it is read at one time. */
  received(client: LoadClient, data: Uint8Array): void {
    this.#readAtUs = nowUs();
    client.received(data);
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
    this.#publish(this.channels[next]);
  }

  /** Each message is a write of its own, as with every client that has a `send`. */
  #publish(channel: LoadChannel | undefined): void {
    const publisher = channel?.members[0];
    if (channel === undefined || publisher === undefined) return;
    const marker = this.#marker;
    marker.channel = publisher.number;
    marker.atUs = nowUs();
    marker.sequence = channel.ledger.publish(channel.members.length);
    this.published += 1;
    publisher.write(this.#frame.marked(marker));
  }
}
