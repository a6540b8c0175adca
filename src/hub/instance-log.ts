import type { Bus } from "../bus/bus.ts";
import type { Log } from "../log.ts";
import type { Message } from "../message.ts";
import type { Retention } from "../position.ts";
import { LogFollower, type LogListener } from "./log-follower.ts";
import type { Followed } from "./recovery.ts";

export interface InstanceLogHost {
  readonly bus: Bus;
  readonly log: Log;
  behind(log: InstanceLog): void;
}

/**
 * A log that the instance itself follows, as long as it lives: every message from the first subscription on, and after a loss
 * everything that it missed, as far as the log reaches.
 */
export class InstanceLog implements Followed, LogListener {
  readonly name: string;
  readonly retention: Retention;
  readonly log = new LogFollower(this);
  readonly closed = false;
  readonly #host: InstanceLogHost;
  readonly #hear: (message: Message) => void;
  #live = false;
  #unreadable = false;

  constructor(name: string, retention: Retention, host: InstanceLogHost, hear: (message: Message) => void) {
    this.name = name;
    this.retention = retention;
    this.#host = host;
    this.#hear = hear;
  }

  get live(): boolean {
    return this.#live;
  }

  subscribe(): void {
    const acknowledged = this.#host.bus.subscribe(this.name);
    if (acknowledged === undefined) this.#becomeLive();
    else void acknowledged.then(() => this.#becomeLive());
  }

  lost(): void {
    this.#live = false;
    this.log.interrupt();
  }

  follow(message: Message): void {
    this.#unreadable = false;
    this.#hear(message);
  }

  missed(): void {
    this.#host.log.error("messages to all instances were lost: they are not kept any more", { channel: this.name });
  }

  behind(): void {
    this.#host.behind(this);
  }

  abandon(): void {
    if (!this.#unreadable) this.#host.log.error("messages to all instances cannot be read", { channel: this.name });
    this.#unreadable = true;
  }

  #becomeLive(): void {
    this.#live = true;
    this.behind();
  }
}
