import type { Server } from "./server.ts";
import type { Word } from "./words.ts";

export type Health = "asking" | "ready" | "bus" | "draining" | "notReady" | "away";

const INTERVAL_MS = 5000;
/** After a look that nobody answered. */
const AGAIN_MS = 1000;
const PATIENCE_MS = 3000;
/** Looks in a row without an answer after which the connections are given up: a dead peer closes nothing. */
const GIVE_UP_AFTER = 2;

/** How the server is, looked at while the page is seen. */
export class Pulse {
  readonly #server: Server;
  readonly #show: (health: Health) => void;
  readonly #giveUp: () => void;
  #silent = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #round = 0;

  constructor(server: Server, show: (health: Health) => void, giveUp: () => void) {
    this.#server = server;
    this.#show = show;
    this.#giveUp = giveUp;
  }

  /** Looks now, and from now on. */
  start(): void {
    this.#round += 1;
    clearTimeout(this.#timer);
    void this.#look(this.#round);
  }

  async #look(round: number): Promise<void> {
    if (document.visibilityState === "visible") {
      const answer = await this.#server.ask("readyz", PATIENCE_MS);
      if (round !== this.#round) return;
      this.#silent = answer === undefined ? this.#silent + 1 : 0;
      if (answer === undefined) this.#show("away");
      else if (answer.status === 200) this.#show("ready");
      else this.#show(({ "bus-away": "bus", draining: "draining" } as const)[answer.problem] ?? "notReady");
      if (this.#silent === GIVE_UP_AFTER) this.#giveUp();
    }
    this.#timer = setTimeout(() => void this.#look(round), this.#silent > 0 ? AGAIN_MS : INTERVAL_MS);
  }
}

export function wordOfHealth(health: Health): Word {
  return `server.${health}`;
}
