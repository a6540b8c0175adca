import type { Answer } from "../../client/ask.ts";
import type { TextKey } from "../text/english.ts";
import type { Server } from "./server.ts";

export type Health = "asking" | "ready" | "bus" | "draining" | "notReady" | "away";

const INTERVAL_MS = 5000;
/** The interval after a request without an answer. */
const AGAIN_MS = 1000;
const TIMEOUT_MS = 3000;
/** Unanswered requests in a row after which open connections are abandoned: a dead peer closes nothing. */
const GIVE_UP_AFTER = 2;

export interface HealthListener {
  readonly show: (health: Health) => void;
  /** The server accepts clients again. */
  readonly welcome: () => void;
  /** Open connections are dead. */
  readonly giveUp: () => void;
}

/** Polls the readiness of the server while the page is visible. */
export class HealthWatch {
  readonly #server: Server;
  readonly #actions: HealthListener;
  #health: Health = "asking";
  #silent = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #round = 0;

  constructor(server: Server, actions: HealthListener) {
    this.#server = server;
    this.#actions = actions;
  }

  /** Asks now, and from now on. */
  start(): void {
    this.#round += 1;
    clearTimeout(this.#timer);
    void this.#ask(this.#round);
  }

  async #ask(round: number): Promise<void> {
    if (document.visibilityState === "visible") {
      const answer = await this.#server.ask("readyz", TIMEOUT_MS);
      if (round !== this.#round) return;
      this.#silent = answer.status === undefined ? this.#silent + 1 : 0;
      const before = this.#health;
      this.#health = healthOf(answer);
      this.#actions.show(this.#health);
      if (this.#health === "ready" && before !== "ready") this.#actions.welcome();
      if (this.#silent === GIVE_UP_AFTER) this.#actions.giveUp();
    }
    this.#timer = setTimeout(() => void this.#ask(round), this.#silent > 0 ? AGAIN_MS : INTERVAL_MS);
  }
}

function healthOf(answer: Answer): Health {
  if (answer.status === undefined) return "away";
  if (answer.status === 200) return "ready";
  return ({ "bus-away": "bus", draining: "draining" } as const)[answer.problem] ?? "notReady";
}

export function textOfHealth(health: Health): TextKey {
  return `server.${health}`;
}
