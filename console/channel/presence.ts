import type { Server } from "../net/server.ts";

export interface Present {
  readonly count: number;
  readonly members: readonly { readonly id: string; readonly connections: number }[];
}

const INTERVAL_MS = 3000;

/** Polls the members of an open channel with presence, while the page is visible. */
export class PresenceWatch {
  readonly #path: string;
  readonly #server: Server;
  readonly #show: (present: Present | undefined) => void;
  #hasPresence = true;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #round = 0;

  constructor(path: string, server: Server, show: (present: Present | undefined) => void) {
    this.#path = path;
    this.#server = server;
    this.#show = show;
  }

  start(): void {
    this.stop();
    // A reload may have given the channel presence.
    this.#hasPresence = true;
    void this.#look(this.#round);
  }

  stop(): void {
    this.#round += 1;
    clearTimeout(this.#timer);
  }

  async #look(round: number): Promise<void> {
    if (!this.#hasPresence) return;
    if (document.visibilityState === "visible") {
      const answer = await this.#server.ask(`presence/${this.#path}`);
      if (round !== this.#round) return;
      if (answer.problem === "no-presence") this.#hasPresence = false;
      this.#show(answer.status === 200 ? read(answer.body) : undefined);
    }
    this.#timer = setTimeout(() => void this.#look(round), INTERVAL_MS);
  }
}

function read(body: unknown): Present | undefined {
  if (typeof body !== "object" || body === null || !("count" in body) || !("members" in body)) return undefined;
  const { count, members } = body;
  if (typeof count !== "number" || !Array.isArray(members)) return undefined;
  return { count, members: members.flatMap(readMember) };
}

function readMember(member: unknown): { id: string; connections: number }[] {
  if (typeof member !== "object" || member === null || !("id" in member) || !("connections" in member)) return [];
  return [{ id: String(member.id), connections: Number(member.connections) }];
}
