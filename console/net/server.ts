import { ask, type Answer } from "../../client/ask.ts";
import { BrowserSockets } from "../../client/index.ts";

/** The server that the page came from. URLs are relative, so that a proxy may serve the page below a path of its own. */
export class Server {
  token = "";
  readonly #base: string;

  /** @param page the page's own URL */
  constructor(page: string) {
    this.#base = new URL(".", page).href;
  }

  ask(path: string, timeoutMs?: number): Promise<Answer> {
    return ask(this.#base + path, this.token, timeoutMs);
  }

  /** Opens sockets to a channel. */
  sockets(path: string): BrowserSockets {
    return new BrowserSockets({ server: this.#base, path, token: () => this.token });
  }
}
