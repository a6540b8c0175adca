import { Problem } from "../errors.ts";
import type { Message } from "../message.ts";
import type { Bus, BusListener, OpenBus, Sender, Tick } from "./bus.ts";

const LIVE = Promise.resolve();

export const openMemoryBus: OpenBus = (_, listener) => {
  const bus = new MemoryBus(listener);
  listener.restored();
  return Promise.resolve(bus);
};

/** The embedded bus: one process, nothing to wait for, so a message is delivered before `publish` returns. */
class MemoryBus implements Bus {
  readonly #listener: BusListener;
  #open = true;

  constructor(listener: BusListener) {
    this.#listener = listener;
  }

  get ready(): boolean {
    return this.#open;
  }

  subscribe(): Promise<void> {
    return LIVE;
  }

  unsubscribe(): void {
    // The hub ignores what no local client asked for.
  }

  publish(channel: string, message: Message, sender: Sender): void {
    if (!this.#open) {
      sender.refused(new Problem("bus-away", "The server is shutting down."));
      return;
    }
    this.#listener.deliver(channel, message);
    sender.confirmed(null);
  }

  publishTick(tick: Tick): Promise<boolean> {
    if (this.#open) this.#listener.deliver(tick.channel, tick.text);
    return Promise.resolve(this.#open);
  }

  settled(): Promise<void> {
    return LIVE;
  }

  close(): void {
    this.#open = false;
  }
}
