import { connect, type Socket } from "node:net";
import { frame } from "../support/client.ts";

/** A client that counts frames and, if it publishes, keeps a window of messages in flight. It reads no payloads, so it is cheap. */
export class LoadClient {
  received = 0;
  readonly #socket: Socket;
  readonly #window: number;
  readonly #message: Buffer;
  readonly #frameBytes: number;
  #publishing = false;
  #bytes = 0;

  private constructor(socket: Socket, window: number, messageBytes: number) {
    this.#socket = socket;
    this.#window = window;
    this.#message = frame(1, "x".repeat(messageBytes));
    this.#frameBytes = messageBytes + (messageBytes < 126 ? 2 : 4);
    socket.on("data", (data: Buffer) => this.#count(data.length));
  }

  /** Joins a channel. With a window of 0 it only listens. */
  static join(port: number, target: string, window: number, messageBytes: number): Promise<LoadClient> {
    return new Promise((resolve, reject) => {
      const socket = connect({ port, host: "127.0.0.1", noDelay: true });
      socket.once("error", reject);
      socket.once("data", (answer) => {
        if (!answer.toString("latin1").startsWith("HTTP/1.1 101")) reject(new Error(`${target}: ${answer.toString("latin1")}`));
        else resolve(new LoadClient(socket, window, messageBytes));
      });
      const handshake =
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
      socket.write(`GET ${target} HTTP/1.1\r\nHost: 127.0.0.1\r\n${handshake}`);
    });
  }

  start(): void {
    this.#publishing = this.#window > 0;
    for (let index = 0; index < this.#window; index += 1) this.#socket.write(this.#message);
  }

  stop(): void {
    this.#publishing = false;
  }

  close(): void {
    this.#socket.destroy();
  }

  /** All frames are of one size, so bytes are frames. */
  #count(bytes: number): void {
    this.#bytes += bytes;
    const whole = Math.floor(this.#bytes / this.#frameBytes);
    this.#bytes -= whole * this.#frameBytes;
    this.received += whole;
    if (this.#publishing && whole > 0)
      this.#socket.write(whole === 1 ? this.#message : Buffer.concat(Array.from({ length: whole }, () => this.#message)));
  }
}
