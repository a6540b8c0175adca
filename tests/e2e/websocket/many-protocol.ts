import { isGranted, type Grant } from "../../../src/access/grants.ts";
import type { Policy } from "../../../src/access/policy.ts";
import type { Member, PresenceChange } from "../../../src/bus/presence.ts";
import { Kind } from "../../../src/channels/kind.ts";
import { resolveTarget } from "../../../src/channels/resolver.ts";
import { closeCode, type ClosingFaultName } from "../../../src/errors.ts";
import type { FanOut, Subscription } from "../../../src/hub/subscription.ts";
import type { Message } from "../../../src/message.ts";
import { formatPosition, parsePosition } from "../../../src/position.ts";
import { memberOfToken, type Encoder, type Protocol, type ProtocolSession } from "../../../src/protocols/protocol.ts";

/*
 * A third protocol, for tests: many channels on one WebSocket, and each frame names its channel. It knows nothing of sessions and
 * transports, so it proves that src/protocols/protocol.ts is all that a protocol needs.
 */

export const SECRET = "the secret of the backend";

export const kinds = [
  new Kind({ path: "plain/{x}", presence: true, announces_members: true }),
  new Kind({ path: "kept/{x}", history: { size: 10, ttl: "1m" } }),
  new Kind({ path: "granted/{x}", access: "token", publish: "token" }),
];

/** A frame of the client. */
export interface Order {
  readonly subscribe?: string;
  readonly unsubscribe?: string;
  readonly publish?: string;
  readonly text?: string;
  /** Asks for an acknowledgement by this name. */
  readonly ack?: string;
  readonly since?: string;
  readonly grant?: { readonly expiresMs: number; readonly signature: string };
  /** Asks for an answer of so many characters. */
  readonly answer?: number;
  /** Makes the protocol throw when the subscription ends. */
  readonly fault?: boolean;
}

/** Counts the frames that it encodes. */
export class ManyEncoder implements Encoder {
  readonly name = "many";
  encoded = 0;

  encode(channel: string, message: Message, epoch: string, offset: number): Message {
    this.encoded += 1;
    return JSON.stringify({ channel, text: String(message), ...(epoch === "" ? {} : { id: formatPosition(epoch, offset) }) });
  }

  encodePresence(channel: string, { change, member }: PresenceChange): Message {
    return JSON.stringify({ channel, [change]: member.id });
  }
}

/** One object a session. */
export class ManyProtocol implements Protocol {
  readonly encoder: Encoder;
  readonly fanOut: FanOut;
  readonly #id: string;
  readonly #policy: Policy;
  #fault = false;

  /** @param id names the session; grants are signed for it */
  constructor(encoder: Encoder, fanOut: FanOut, id: string, policy: Policy) {
    this.encoder = encoder;
    this.fanOut = fanOut;
    this.#id = id;
    this.#policy = policy;
  }

  receive(session: ProtocolSession, frame: Message): void {
    const order: Order = JSON.parse(String(frame));
    this.#fault ||= order.fault === true;
    if (order.subscribe !== undefined) this.#subscribe(session, order.subscribe, order);
    if (order.unsubscribe !== undefined) session.unsubscribe(order.unsubscribe);
    if (order.publish !== undefined) this.#publish(session, order.publish, order);
    if (order.answer !== undefined) session.send(JSON.stringify({ answer: "x".repeat(order.answer) }));
  }

  joined(session: ProtocolSession, { channel, position }: Subscription): void {
    session.send(JSON.stringify({ channel: channel.name, joined: position }));
  }

  memberOf(session: ProtocolSession): Member | null {
    return memberOfToken(session);
  }

  gapPolicyOf(): "end" {
    return "end";
  }

  gap(): void {
    throw new Error("gaps end subscriptions");
  }

  ended(session: ProtocolSession, { channel }: Subscription, fault: ClosingFaultName): void {
    if (this.#fault) throw new Error("a fault of the protocol");
    session.send(JSON.stringify({ channel: channel.name, ended: fault }));
  }

  closeFrame(_: ProtocolSession, fault: ClosingFaultName): { code: number } {
    return { code: closeCode(fault) };
  }

  #publish(session: ProtocolSession, channel: string, { text = "", ack }: Order): void {
    const subscription = session.subscriptionTo(channel);
    if (subscription === undefined) session.send(JSON.stringify({ ack, refused: "not subscribed" }));
    else if (ack === undefined) session.publish(subscription, text);
    else {
      session.publish(subscription, text, {
        broken: false,
        confirmed: () => session.send(JSON.stringify({ ack, confirmed: true })),
        refused: ({ fault }) => session.send(JSON.stringify({ ack, refused: fault })),
      });
    }
  }

  #subscribe(session: ProtocolSession, path: string, { since, grant }: Order): void {
    const target = resolveTarget(kinds, path.split("/"));
    const from = parsePosition(since ?? "");
    if (target === undefined) {
      session.send(JSON.stringify({ path, refused: "no-channel" }));
      return;
    }
    const { channel } = target;
    const signed: Grant | undefined = grant && { channel, publish: true, expiresMs: grant.expiresMs };
    const granted = signed !== undefined && isGranted(signed, grant?.signature ?? "", this.#id, SECRET) ? signed : undefined;
    session.subscribe({
      target,
      from: from && { since: from },
      grant: granted,
      permits: () => {
        if (granted === undefined) this.#policy.requireJoin(session.principal, target);
      },
      refused: ({ fault }) => session.send(JSON.stringify({ channel, refused: fault })),
    });
  }
}
