import { connect, type Socket } from "node:net";
import { waitFor } from "./wait.ts";

export type Opcode = 0 | 1 | 2 | 8 | 9 | 10;

/** A frame as it stood on the wire. */
export interface Frame {
  readonly opcode: number;
  readonly payload: Buffer;
}

export interface JoinOptions {
  readonly headers?: Readonly<Record<string, string>>;
  /** Answers no pings, like a dead peer. */
  readonly silent?: boolean;
  /** The address that it comes from; of the loopback ones only Linux has more than one. */
  readonly from?: string;
}

export interface HttpAnswer {
  readonly status: number;
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
}

const MASK = Buffer.from([0x37, 0xfa, 0x21, 0x3d]);
const HANDSHAKE = {
  Upgrade: "websocket",
  Connection: "Upgrade",
  "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
  "Sec-WebSocket-Version": "13",
};

/** One frame of a client (RFC 6455 §5.2), masked, whole unless `fin` is false. */
export function frame(opcode: Opcode, payload: string | Uint8Array, { fin = true, masked = true } = {}): Buffer {
  const data = Buffer.from(payload);
  const head = [(fin ? 0x80 : 0) | opcode];
  const bit = masked ? 0x80 : 0;
  if (data.length < 126) head.push(bit | data.length);
  else if (data.length < 65_536) head.push(bit | 126, data.length >> 8, data.length & 255);
  else head.push(bit | 127, 0, 0, 0, 0, data.length >>> 24, (data.length >> 16) & 255, (data.length >> 8) & 255, data.length & 255);
  if (!masked) return Buffer.concat([Buffer.from(head), data]);
  return Buffer.concat([Buffer.from(head), MASK, data.map((byte, index) => byte ^ (MASK[index % 4] ?? 0))]);
}

/** A raw WebSocket client: it sees what is on the wire, and can send what a browser never would. */
export class Client {
  readonly frames: Frame[] = [];
  readonly #socket: Socket;
  readonly #silent: boolean;
  #buffer = Buffer.alloc(0);
  #answer: HttpAnswer | undefined;
  #ended = false;
  #closeFrame: Buffer | undefined;

  private constructor(port: number, { silent = false, from }: JoinOptions) {
    this.#silent = silent;
    // Not bound to an address where none is asked for: the system does not give such a port again for a minute.
    this.#socket = connect({ port, host: "127.0.0.1", noDelay: true, ...(from !== undefined && { localAddress: from }) });
    this.#socket.on("data", (data: Buffer) => this.#received(data));
    this.#socket.on("close", () => (this.#ended = true));
    this.#socket.on("error", () => (this.#ended = true));
  }

  /** Sends a request for an upgrade and resolves with whatever came of it. */
  static async ask(port: number, target: string, options: JoinOptions = {}): Promise<{ client: Client; answer: HttpAnswer }> {
    const client = new Client(port, options);
    const headers = Object.entries({ Host: `127.0.0.1:${port}`, ...HANDSHAKE, ...options.headers });
    const lines = headers.filter(([, value]) => value !== "").map(([name, value]) => `${name}: ${value}\r\n`);
    client.#socket.write(`GET ${target} HTTP/1.1\r\n${lines.join("")}\r\n`);
    await waitFor(`an answer to ${target}`, () => client.#answer !== undefined || client.#ended);
    return { client, answer: client.#answer ?? { status: 0, headers: new Map(), body: "" } };
  }

  static async join(port: number, target: string, options: JoinOptions = {}): Promise<Client> {
    const { client, answer } = await Client.ask(port, target, options);
    if (answer.status !== 101) throw new Error(`${target} answered ${answer.status} ${answer.body}`);
    return client;
  }

  /** The headers of the 101. */
  get headers(): ReadonlyMap<string, string> {
    return this.#answer?.headers ?? new Map();
  }

  /** What the close frame says beside its code. */
  get closeReason(): string | undefined {
    return this.#closeFrame?.subarray(2).toString("utf8");
  }

  /** The data frames so far, in short: text as it is, binary as a Buffer. */
  get messages(): (string | Buffer)[] {
    const data = this.frames.filter(({ opcode }) => opcode === 1 || opcode === 2);
    return data.map(({ opcode, payload }) => (opcode === 1 ? payload.toString("utf8") : payload));
  }

  get closed(): boolean {
    return this.#ended;
  }

  /** The close frame's code; 1005 for one without, 1006 for none (RFC 6455 §7.1.5). */
  get closeCode(): number | undefined {
    if (this.#closeFrame !== undefined) return this.#closeFrame.length < 2 ? 1005 : this.#closeFrame.readUInt16BE(0);
    return this.#ended ? 1006 : undefined;
  }

  send(message: string | Uint8Array): void {
    this.#socket.write(frame(typeof message === "string" ? 1 : 2, message));
  }

  write(bytes: Uint8Array): void {
    this.#socket.write(bytes);
  }

  /** Resolves once so many messages have come. */
  async receive(count: number, timeoutMs?: number): Promise<(string | Buffer)[]> {
    const enough = (): boolean => this.messages.length >= count;
    await waitFor(`${count} messages`, () => enough() || this.#ended, timeoutMs);
    if (!enough()) throw new Error(`closed with ${this.closeCode} after ${this.messages.length} of ${count} messages`);
    return this.messages;
  }

  async receiveClose(timeoutMs?: number): Promise<number> {
    await waitFor("a close", () => this.#ended, timeoutMs);
    return this.closeCode ?? 1006;
  }

  /** Reads nothing more, until `resume`. */
  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  #received(data: Buffer): void {
    this.#buffer = Buffer.concat([this.#buffer, data]);
    if (this.#answer === undefined) this.#readAnswer();
    if (this.#answer?.status === 101) while (this.#readFrame());
  }

  #readAnswer(): void {
    const end = this.#buffer.indexOf("\r\n\r\n");
    if (end === -1) return;
    const [first = "", ...lines] = this.#buffer.subarray(0, end).toString("latin1").split("\r\n");
    const headers = new Map(
      lines.map((line) => [line.slice(0, line.indexOf(":")).toLowerCase(), line.slice(line.indexOf(":") + 1).trim()]),
    );
    const length = Number(headers.get("content-length") ?? 0);
    if (this.#buffer.length < end + 4 + length) return;
    const body = this.#buffer.subarray(end + 4, end + 4 + length).toString("utf8");
    this.#buffer = this.#buffer.subarray(end + 4 + length);
    this.#answer = { status: Number(first.split(" ")[1]), headers, body };
  }

  #readFrame(): boolean {
    const [first = 0, second = 0] = this.#buffer;
    const short = second & 127;
    const head = short < 126 ? 2 : short === 126 ? 4 : 10;
    if (this.#buffer.length < head) return false;
    const length = short < 126 ? short : short === 126 ? this.#buffer.readUInt16BE(2) : Number(this.#buffer.readBigUInt64BE(2));
    if (this.#buffer.length < head + length) return false;
    const payload = this.#buffer.subarray(head, head + length);
    this.#buffer = this.#buffer.subarray(head + length);
    this.#handle({ opcode: first & 15, payload });
    return true;
  }

  #handle(received: Frame): void {
    this.frames.push(received);
    if (received.opcode === 8) {
      this.#closeFrame = received.payload;
      this.#socket.end(frame(8, received.payload.subarray(0, 2)));
    } else if (received.opcode === 9 && !this.#silent) this.#socket.write(frame(10, received.payload));
  }
}
