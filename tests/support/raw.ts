import { connect, type Socket } from "node:net";

/** A bare TCP connection: what it sends is no more than what it is told to, and what it hears is kept. */
export class Raw {
  /** What came, as Latin-1. */
  heard = "";
  ended = false;
  readonly #socket: Socket;

  constructor(port: number, bytes: string | Buffer = "") {
    this.#socket = connect(port, "127.0.0.1", () => this.send(bytes));
    this.#socket.on("data", (data: Buffer) => (this.heard += data.toString("latin1")));
    this.#socket.on("close", () => (this.ended = true));
    this.#socket.on("error", () => (this.ended = true));
  }

  send(bytes: string | Buffer): void {
    if (bytes.length > 0 && !this.#socket.destroyed) this.#socket.write(bytes);
  }

  /** Sends no more, and listens on. */
  finish(): void {
    this.#socket.end();
  }

  destroy(): void {
    this.#socket.destroy();
  }
}
