import { frame } from "../support/client.ts";
import type { Envelope } from "./envelopes.ts";
import { writeMarker, type Marker } from "./marker.ts";

/** The frame that publishes: made once, and marked anew for each message. */
export class MessageFrame {
  readonly #bytes: Buffer;
  readonly #payloadAt: number;
  readonly #markerAt: number;
  readonly #mask: Uint8Array;

  /** @param bytes of the message, without envelope; at least a marker's */
  constructor({ before, after }: Envelope, bytes: number) {
    const text = before + "x".repeat(bytes) + after;
    this.#bytes = frame(1, text);
    this.#payloadAt = this.#bytes.length - text.length;
    this.#markerAt = before.length;
    this.#mask = this.#bytes.subarray(this.#payloadAt - 4, this.#payloadAt);
  }

  /** The next message, until it is asked for another one. */
  marked(marker: Marker): Uint8Array {
    writeMarker(this.#bytes, this.#payloadAt + this.#markerAt, marker, this.#mask, this.#markerAt);
    return this.#bytes;
  }
}
