import { Problem } from "../../errors.ts";
import type { Message } from "../../message.ts";
import type { Bus, BusListener, OpenBus, Shard } from "../bus.ts";
import type { Sender } from "../publisher.ts";
import { MemberCounts, presentOf } from "../member-counts.ts";
import type { Member, Members, Presence } from "../presence.ts";
import type { Tick, Ticks } from "../ticks.ts";
import { MemoryHistory } from "./history.ts";

const DONE = Promise.resolve();
/** A tick has nobody to notify. */
const NOBODY: Sender = { confirmed: () => undefined, refused: () => undefined, broken: false };
/** It holds everything, and is never lost. */
const MEMORY: Shard = { name: "memory", has: () => true };

export const openMemoryBus: OpenBus = (_, listener) => {
  const bus = new MemoryBus(listener);
  listener.restored(MEMORY);
  return Promise.resolve(bus);
};

/** The embedded bus: one process, nothing to wait for, so a message is delivered before `publish` returns. */
class MemoryBus implements Bus, Ticks {
  readonly history: MemoryHistory;
  readonly presence: MemoryPresence;
  readonly ticks = this;
  readonly waiting = 0;
  readonly #listener: BusListener;
  #open = true;

  constructor(listener: BusListener) {
    this.#listener = listener;
    this.history = new MemoryHistory(listener);
    this.presence = new MemoryPresence(listener);
  }

  ready(): boolean {
    return this.#open;
  }

  subscribe(): undefined {
    // Nobody is elsewhere: everything is delivered here.
  }

  unsubscribe(): void {
    // The hub ignores channels that no local client asked for.
  }

  publish(channel: string, message: Message, sender: Sender): void {
    if (!this.#open) {
      sender.refused(new Problem("bus-away", "The server is shutting down."));
      return;
    }
    this.#listener.deliver(channel, message);
    sender.confirmed(null);
  }

  claim({ channel, retention, text }: Tick): Promise<boolean> {
    if (retention !== undefined) this.history.append(channel, text, retention, NOBODY);
    else if (this.#open) this.#listener.deliver(channel, text);
    return Promise.resolve(this.#open);
  }

  settled(): Promise<void> {
    return DONE;
  }

  close(): void {
    this.#open = false;
    this.history.close();
    this.presence.close();
  }
}

/** Presence where there is one instance. */
export class MemoryPresence implements Presence {
  readonly #listener: BusListener;
  readonly #counts = new MemberCounts();
  #closed = false;

  constructor(listener: BusListener) {
    this.#listener = listener;
  }

  join(channel: string, member: Member | null, announce: boolean): void {
    const isFirst = this.#counts.join(channel, member, announce);
    if (isFirst && member !== null) this.#report(channel, "join", member);
  }

  leave(channel: string, member: Member | null, announce: boolean): void {
    const left = this.#counts.leave(channel, member, announce);
    if (left !== undefined) this.#report(channel, "leave", left);
  }

  members(channel: string): Promise<Members> {
    const { count, members } = this.#counts.of(channel);
    const listed = Array.from(members, ([id, of]) => [id, presentOf(of.connections, of.data)] as const);
    return Promise.resolve({ count, members: new Map(listed) });
  }

  close(): void {
    this.#closed = true;
  }

  #report(channel: string, change: "join" | "leave", member: Member): void {
    if (!this.#closed) this.#listener.deliverPresence(channel, { change, member });
  }
}
