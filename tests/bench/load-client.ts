import type { Socket } from "bun";
import { frame } from "../support/client.ts";
import type { Envelope } from "./envelopes.ts";
import { SubscriberLedger, type Account, type ChannelLedger } from "./ledger.ts";
import { readMarker, type Marker } from "./marker.ts";

/** Who hears what a client goes through. */
export interface Listener {
  joined(client: LoadClient): void;
  /** It has a message that it had not before; `isLast` when nobody else waits for it. */
  delivered(client: LoadClient, atUs: number, isLast: boolean): void;
  closed(client: LoadClient): void;
}

const HANDSHAKE =
  "Host: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
/** The key's answer (RFC 6455 §1.3). */
const ACCEPTED = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
const NOTHING = new Uint8Array(0);

/** Used again for every delivery of every client: it is read before the next one. */
const marker: Marker = { atUs: 0, sequence: 0, channel: 0 };

/** One WebSocket of the load on a bare TCP socket. It parses no more of a frame than its length and the marker, so it is cheap. */
export class LoadClient implements Account {
  readonly number: number;
  readonly channel: ChannelLedger;
  readonly subscriber = new SubscriberLedger();
  /** What was wrong, where the server did not let it in. */
  refusal = "";
  isClosed = false;
  readonly #envelope: Envelope;
  readonly #markerAt: number;
  readonly #listener: Listener;
  #socket: Socket<LoadClient> | undefined;
  #upgraded = false;
  #rest: Uint8Array = NOTHING;
  #unsent: Uint8Array = NOTHING;

  /** @param number of the channel */
  constructor(number: number, channel: ChannelLedger, envelope: Envelope, listener: Listener) {
    this.number = number;
    this.channel = channel;
    this.#envelope = envelope;
    this.#markerAt = envelope.before.length;
    this.#listener = listener;
  }

  opened(socket: Socket<LoadClient>): void {
    this.#socket = socket;
    socket.setNoDelay(true);
    this.write(Buffer.from(`GET ${this.#envelope.target(this.number)} HTTP/1.1\r\n${HANDSHAKE}`));
  }

  /** Sends bytes, which the caller may use again at once. */
  write(bytes: Uint8Array): void {
    if (this.isClosed) return;
    if (this.#unsent.length > 0) {
      this.#unsent = Buffer.concat([this.#unsent, bytes]);
      return;
    }
    const sent = this.#socket?.write(bytes) ?? 0;
    if (sent < bytes.length) this.#unsent = bytes.slice(Math.max(0, sent));
  }

  drained(): void {
    const unsent = this.#unsent;
    this.#unsent = NOTHING;
    if (unsent.length > 0) this.write(unsent);
  }

  closed(): void {
    if (this.isClosed) return;
    this.isClosed = true;
    this.subscriber.close(this.channel.published);
    this.#listener.closed(this);
  }

  received(chunk: Uint8Array): void {
    let bytes = chunk;
    if (this.#rest.length > 0) bytes = Buffer.concat([this.#rest, chunk]);
    let at = this.#upgraded ? 0 : this.#readAnswer(bytes);
    if (at < 0) {
      this.#rest = bytes.slice();
      return;
    }
    while (at + 2 <= bytes.length) {
      const short = bytes[at + 1] ?? 0;
      let head = 2;
      let length = short;
      if (short >= 126) {
        head = short === 126 ? 4 : 10;
        if (at + head > bytes.length) break;
        length = ((bytes[at + head - 2] ?? 0) << 8) | (bytes[at + head - 1] ?? 0);
        if (head === 10) length += ((bytes[at + 6] ?? 0) << 24) | ((bytes[at + 7] ?? 0) << 16);
      }
      if (at + head + length > bytes.length) break;
      const opcode = bytes[at] ?? 0;
      if (opcode === 0x81 && readMarker(bytes, at + head + this.#markerAt, marker)) this.#deliver();
      else this.#handle(opcode, bytes.subarray(at + head, at + head + length));
      at += head + length;
    }
    this.#rest = at < bytes.length ? bytes.slice(at) : NOTHING;
  }

  #deliver(): void {
    const { atUs, sequence, channel } = marker;
    if (channel !== this.number) this.subscriber.strange += 1;
    else if (this.subscriber.take(sequence, this.channel.published)) {
      this.#listener.delivered(this, atUs, this.channel.delivered(sequence));
    }
  }

  /** How many bytes the answer to the upgrade takes; -1 until all of it is there. */
  #readAnswer(bytes: Uint8Array): number {
    const end = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).indexOf("\r\n\r\n");
    if (end === -1) return -1;
    const answer = Buffer.from(bytes.subarray(0, end)).toString("latin1");
    if (!answer.startsWith("HTTP/1.1 101") || !answer.includes(ACCEPTED)) {
      this.refusal = answer.split("\r\n")[0] ?? "";
      this.#socket?.terminate();
      return bytes.length;
    }
    this.#upgraded = true;
    if (this.#envelope.greets === undefined) this.#listener.joined(this);
    return end + 4;
  }

  /** Everything but a message. */
  #handle(opcode: number, payload: Uint8Array): void {
    if (opcode === 0x89) this.write(frame(10, payload));
    else if (opcode === 0x88) this.#socket?.end(frame(8, payload.subarray(0, 2)));
    else if (opcode === 0x81) {
      const { send, joined } = this.#envelope.answer(Buffer.from(payload).toString("utf8"), this.number);
      if (send !== undefined) this.write(frame(1, send));
      if (joined === true) this.#listener.joined(this);
      if (send === undefined && joined === undefined) this.subscriber.strange += 1;
    } else if (opcode !== 0x8a) this.subscriber.strange += 1;
  }
}
