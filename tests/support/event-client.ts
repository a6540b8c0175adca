import { waitFor } from "./wait.ts";

export interface ReceivedEvent {
  readonly event: string;
  readonly data: string;
  /** The last id by then, as an EventSource has it. */
  readonly id: string;
}

const HEAD = 4000;

/** A client of server-sent events that keeps all it was sent (https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation). */
export class EventClient {
  readonly response: Response;
  readonly events: ReceivedEvent[] = [];
  /** How the stream began, byte for byte. */
  head = "";
  ended = false;
  readonly #abort: AbortController;
  #rest = "";
  #id = "";

  private constructor(response: Response, abort: AbortController) {
    this.response = response;
    this.#abort = abort;
    void this.#read();
  }

  static async open(url: string, headers: Record<string, string> = {}): Promise<EventClient> {
    const abort = new AbortController();
    return new EventClient(await fetch(url, { headers, signal: abort.signal }), abort);
  }

  /** Resolves once so many events have come. */
  async receive(count: number): Promise<ReceivedEvent[]> {
    await waitFor(`${count} events`, () => this.events.length >= count);
    return this.events;
  }

  close(): void {
    this.#abort.abort();
  }

  async #read(): Promise<void> {
    const decoder = new TextDecoder();
    try {
      for await (const part of this.response.body ?? []) {
        const text = decoder.decode(part, { stream: true });
        if (this.head.length < HEAD) this.head += text;
        this.#rest += text;
        this.#parse();
      }
    } catch {
      // Cut, or closed by the test.
    }
    this.ended = true;
  }

  #parse(): void {
    for (let end = this.#rest.indexOf("\n\n"); end !== -1; end = this.#rest.indexOf("\n\n")) {
      const lines = this.#rest.slice(0, end).split("\n");
      this.#rest = this.#rest.slice(end + 2);
      const data: string[] = [];
      let event = "message";
      for (const line of lines) {
        const [, field, value = ""] = /^([a-z]*):? ?(.*)$/s.exec(line) ?? [];
        if (field === "id") this.#id = value;
        else if (field === "event") event = value;
        else if (field === "data") data.push(value);
      }
      if (data.length > 0) this.events.push({ event, data: data.join("\n"), id: this.#id });
    }
  }
}
