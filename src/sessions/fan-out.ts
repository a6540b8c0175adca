import type { PresenceChange } from "../bus/presence.ts";
import type { FanOut } from "../hub/subscription.ts";
import type { Message } from "../message.ts";
import type { Encoder } from "../protocols/protocol.ts";

/** The topics of one transport: everybody who listens to a topic receives what is sent on it. */
export interface Topics {
  send(topic: string, frame: Message): void;
}

/** Broadcasts in one protocol over one transport: encodes each message once for all subscribers of a topic. */
export class EncodedFanOut implements FanOut {
  readonly name: string;
  readonly #encoder: Encoder;
  readonly #topics: Topics;

  constructor(encoder: Encoder, topics: Topics) {
    this.name = encoder.name;
    this.#encoder = encoder;
    this.#topics = topics;
  }

  broadcastPresence(topic: string, channel: string, change: PresenceChange): void {
    const frame = this.#encoder.encodePresence?.(channel, change);
    if (frame !== undefined) this.#topics.send(topic, frame);
  }

  broadcast(topic: string, channel: string, message: Message, epoch: string, offset: number): void {
    this.#topics.send(topic, this.#encoder.encode(channel, message, epoch, offset));
  }
}
