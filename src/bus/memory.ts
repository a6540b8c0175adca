import { Problem } from "../errors.ts";
import type { Message } from "../message.ts";
import type { Bus, BusListener, OpenBus, Sender, Tick } from "./bus.ts";
import { MemoryHistory } from "./memory-history.ts";
import { MemoryPresence } from "./memory-presence.ts";

const LIVE = Promise.resolve();
/** The sender of a tick: nobody has to be told. */
const NOBODY: Sender = { confirmed: () => undefined, refused: () => undefined, broken: false };

export const openMemoryBus: OpenBus = (_, listener) => {
  const bus = new MemoryBus(listener);
  listener.restored();
  return Promise.resolve(bus);
};

/** The embedded bus: one process, nothing to wait for, so a message is delivered before `publish` returns. */
class MemoryBus implements Bus {
  readonly history: MemoryHistory;
  readonly presence = new MemoryPresence();
  readonly #listener: BusListener;
  #open = true;

  constructor(listener: BusListener) {
    this.#listener = listener;
    this.history = new MemoryHistory(listener);
  }

  get ready(): boolean {
    return this.#open;
  }

  get waiting(): number {
    return 0;
  }

  subscribe(): undefined {
    // Nobody is elsewhere: everything is delivered here.
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
    if (this.#open && tick.retention === undefined) this.#listener.deliver(tick.channel, tick.text);
    else if (tick.retention !== undefined) this.history.append(tick.channel, tick.text, tick.retention, NOBODY);
    return Promise.resolve(this.#open);
  }

  settled(): Promise<void> {
    return LIVE;
  }

  close(): void {
    this.#open = false;
    this.history.close();
  }
}
