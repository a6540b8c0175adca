import type { Grant } from "../access/grants.ts";
import { subjectOf, type Principal } from "../access/claims.ts";
import type { Member, PresenceChange } from "../bus/presence.ts";
import type { Sender } from "../bus/publisher.ts";
import type { Target } from "../channels/kind.ts";
import type { ClosingFaultName, Problem } from "../errors.ts";
import type { JoinFrom } from "../hub/joins.ts";
import type { FanOut, GapPolicy, Subscription } from "../hub/subscription.ts";
import type { Message } from "../message.ts";

/** A wish to join a channel. */
export interface SubscribeRequest {
  readonly target: Target;
  /** The part of the history that comes first. */
  readonly from?: JoinFrom | undefined;
  /** Rights that come with the subscription, beside those of the session's token. */
  readonly grant?: Grant | undefined;
  /** Asked in the turn in which the session joins: what was allowed before may have changed. @throws Problem to refuse */
  readonly permits: () => void;
  /** The subscription did not come about: `bus-away` after 2.5 s, `gap` after a reload, or the problem that `permits` threw. */
  readonly refused: (problem: Problem) => void;
}

/** The session, as its protocol sees it. */
export interface ProtocolSession {
  readonly principal: Principal;
  /** The only subscription of a protocol that has one a session. */
  readonly first: Subscription | undefined;
  subscriptionTo(channel: string): Subscription | undefined;
  /** Sends the client a frame; nothing once the session closes. */
  send(frame: Message): void;
  /**
   * Joins a channel. Then `joined` or `request.refused` is called, unless the session closes or unsubscribes before. A channel that the
   * session is on already is confirmed by `joined` once more, and nothing changes.
   */
  subscribe(request: SubscribeRequest): void;
  /** Ends a subscription, or a join under way; the session goes on. */
  unsubscribe(channel: string): void;
  /**
   * Publishes on the channel of a subscription: the message, or the text in the kind's envelope.
   *
   * @param sender is notified once, whatever becomes of the message; one that counts its own messages should be `broken` once one was
   * refused. Left out, the echo is the receipt, and the session closes by a refusal
   */
  publish(subscription: Subscription, message: Message, sender?: Sender): void;
  /** Sends what was sent before, then closes the connection. */
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
 * To add one: an `Encoder` and a `Protocol` here (raw.ts is the shortest), and a route in http/routes that makes a `Session` with it.
 * A protocol of one channel joins with the connection (ws.ts); one of many subscribes by frames. A protocol without state is one object
 * for all sessions; one with state is an object a session. Every method is synchronous, so a client's frames keep their order.
 */
export interface Protocol {
  readonly encoder: Encoder;
  /** Sends to topics what the encoder makes, over the transport of the protocol's sessions. */
  readonly fanOut: FanOut;
  /** Reads a frame and acts on the session. @throws Problem by which the session is closed */
  receive(session: ProtocolSession, frame: Message): void;
  /** A subscription begins in this turn; its messages follow. */
  joined(session: ProtocolSession, subscription: Subscription): void;
  /** The member that a subscription counts for in presence; null for nobody in particular. */
  memberOf(session: ProtocolSession, subscription: Subscription): Member | null;
  gapPolicyOf(subscription: Subscription): GapPolicy;
  /** Messages may be missing on a subscription that goes on: what follows begins at the position, null without history. */
  gap(session: ProtocolSession, subscription: Subscription, position: string | null): void;
  /** A gap, a reload or an expired right has ended the subscription: nothing more comes from it, and the session forgets it. */
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

/** The member of a session whose token names it. */
export function memberOfToken({ principal }: ProtocolSession): Member | null {
  const subject = subjectOf(principal);
  return subject === null ? null : { id: subject };
}

/**
 * Broadcasts in one protocol over one transport. A message of a channel goes so: the hub asks the fan-out of each protocol that has
 * subscriptions there, the encoder makes one frame of it, and the topics of the transport send that to everybody who listens.
 */
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
