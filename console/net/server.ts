import { isToken } from "./token.ts";

/** An answer of the server, as far as the page reads it. */
export interface Answer {
  readonly status: number;
  /** The name of the problem (RFC 9457), without what stands before it; empty where there is none. */
  readonly problem: string;
  readonly detail: string;
  readonly body: unknown;
}

const PATIENCE_MS = 8000;

/** The server that the page came from. Addresses are relative, so a proxy may serve it below a path of its own. */
export class Server {
  readonly #base: string;
  #token = "";

  /** @param page the page's own address */
  constructor(page: string) {
    this.#base = new URL(".", page).href;
  }

  get token(): string {
    return this.#token;
  }

  set token(token: string) {
    this.#token = token;
  }

  /** Undefined where there is no answer. */
  async ask(path: string, patienceMs = PATIENCE_MS): Promise<Answer | undefined> {
    try {
      const headers = this.#token === "" ? {} : { authorization: `Bearer ${this.#token}` };
      const response = await fetch(this.#base + path, { headers, cache: "no-store", signal: AbortSignal.timeout(patienceMs) });
      const { status } = response;
      const text = await response.text();
      const body: unknown = /json/.test(response.headers.get("content-type") ?? "") ? JSON.parse(text) : undefined;
      return { status, problem: field(body, "type").replace("urn:lockstep:problem:", ""), detail: field(body, "detail"), body };
    } catch {
      return undefined;
    }
  }

  /** A browser's WebSocket carries no headers: the token goes beside the subprotocol. What is no token has no place there. */
  open(path: string): WebSocket {
    const address = new URL(this.#base + path);
    address.protocol = address.protocol.replace("http", "ws");
    const protocols = isToken(this.#token) ? ["lockstep", `lockstep.token.${this.#token}`] : [];
    const socket = new WebSocket(address, protocols);
    socket.binaryType = "arraybuffer";
    return socket;
  }
}

function field(body: unknown, name: string): string {
  const value = typeof body === "object" && body !== null ? Object.entries(body).find(([key]) => key === name)?.[1] : undefined;
  return typeof value === "string" ? value : "";
}
