import type { Answer } from "../../client/ask.ts";
import type { Server } from "./server.ts";
import type { Word } from "../text/english.ts";

export type Health = "asking" | "ready" | "bus" | "draining" | "notReady" | "away";

const INTERVAL_MS = 5000;
/** After a look that nobody answered. */
const AGAIN_MS = 1000;
const PATIENCE_MS = 3000;
/** Looks in a row without an answer after which the connections are given up: a dead peer closes nothing. */
const GIVE_UP_AFTER = 2;

export interface PulseActions {
  readonly show: (health: Health) => void;
  /** The server takes clients, and did not at the look before. */
  readonly welcome: () => void;
  /** What is open leads nowhere. */
  readonly giveUp: () => void;
}

/** How the server is, looked at while the page is seen. */
export class Pulse {
  readonly #server: Server;
  readonly #actions: PulseActions;
  #health: Health = "asking";
  #silent = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #round = 0;

  constructor(server: Server, actions: PulseActions) {
    this.#server = server;
    this.#actions = actions;
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
      this.#silent = answer.status === undefined ? this.#silent + 1 : 0;
      const before = this.#health;
      this.#health = healthOf(answer);
      this.#actions.show(this.#health);
      if (this.#health === "ready" && before !== "ready") this.#actions.welcome();
      if (this.#silent === GIVE_UP_AFTER) this.#actions.giveUp();
    }
    this.#timer = setTimeout(() => void this.#look(round), this.#silent > 0 ? AGAIN_MS : INTERVAL_MS);
  }
}

function healthOf(answer: Answer): Health {
  if (answer.status === undefined) return "away";
  if (answer.status === 200) return "ready";
  return ({ "bus-away": "bus", draining: "draining" } as const)[answer.problem] ?? "notReady";
}

export function wordOfHealth(health: Health): Word {
  return `server.${health}`;
}
