import type { PresenceChange } from "../bus/presence.ts";
import type { ClosingFaultName } from "../errors.ts";
import type { FanOut, GapPolicy, Subscription } from "../hub/subscription.ts";
import type { Message } from "../message.ts";

/** The session, as its protocol sees it. */
export interface ProtocolSession {
  /** The only subscription of a protocol that has one a session. */
  readonly first: Subscription | undefined;
  readonly subscriptions: readonly Subscription[];
  /** Sends the client a frame. */
  send(frame: Message): void;
  /**
   * Publishes on the channel of a subscription: the message, or the text in the kind's envelope. Refused by a close where the session
   * has no right to, or sends too fast.
   */
  publish(subscription: Subscription, message: Message): void;
  /** Ends the subscription; the session goes on. */
  unsubscribe(subscription: Subscription): void;
  /** Sends the client nothing more, then closes the connection. */
  close(fault: ClosingFaultName): void;
}

/** The frames that all subscribers of a topic receive alike: each is encoded once, however many they are. */
export interface Encoder {
  /** Names the protocol in topics; without spaces. */
  readonly name: string;
  /** @param epoch empty on a channel without history */
  encode(channel: string, message: Message, epoch: string, offset: number): Message;
  /** A member joined or left. Undefined where clients do not hear of it. */
  encodePresence?(channel: string, change: PresenceChange): Message;
}

/**
 * The meaning of a client's frames, and the server's words to the client.
 *
 * To add one: a folder here with an `Encoder` and a `Protocol` (raw is the shortest), and a route that makes a `Session` with it and
 * joins (http/routes/ws.ts). A protocol without state is one object for all sessions; one with state is an object a session.
 * Every method is synchronous: a client's frames keep their order.
 */
export interface Protocol {
  readonly encoder: Encoder;
  /** Sends to topics what the encoder makes, over the transport of the protocol's sessions. */
  readonly fanOut: FanOut;
  /** Reads a frame and acts on the session. @throws Problem by which the session is closed */
  receive(session: ProtocolSession, frame: Message): void;
  /** A subscription begins in this turn; its messages follow. */
  joined(session: ProtocolSession, subscription: Subscription): void;
  gapPolicyOf(subscription: Subscription): GapPolicy;
  /** Messages may be missing on a subscription that goes on: what follows begins at the position, null without history. */
  gap(session: ProtocolSession, subscription: Subscription, position: string | null): void;
  /** A subscription was ended: by a gap, by a reload, or because its right expired. */
  ended(session: ProtocolSession, subscription: Subscription, fault: ClosingFaultName): void;
  /** The close frame for a fault (RFC 6455 §7.4). */
  closeFrame(session: ProtocolSession, fault: ClosingFaultName): CloseFrame;
}

export interface CloseFrame {
  readonly code: number;
  readonly reason?: string | undefined;
}

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
