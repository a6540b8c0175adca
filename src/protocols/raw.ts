import { closeCode, saysPosition, type ClosingFaultName } from "../errors.ts";
import type { Member } from "../bus/presence.ts";
import type { FanOut, GapPolicy, Subscription } from "../hub/subscription.ts";
import type { Message } from "../message.ts";
import { memberOfToken, type CloseFrame, type Encoder, type Protocol, type ProtocolSession } from "./protocol.ts";

/** Each message is one frame, as it was sent. */
export const rawEncoder: Encoder = { name: "raw", encode: (_, message) => message };

/** One channel on one WebSocket: each frame is a message, and the echo of its own is a client's receipt (contract §3). */
export class RawProtocol implements Protocol {
  readonly encoder = rawEncoder;
  readonly fanOut: FanOut;
  readonly #hello: boolean;

  /**
   * @param fanOut of the raw encoder over the server's own topics
   * @param hello the first frame says where what follows begins: browsers cannot read the headers of a 101
   */
  constructor(fanOut: FanOut, hello: boolean) {
    this.fanOut = fanOut;
    this.#hello = hello;
  }

  receive(session: ProtocolSession, frame: Message): void {
    const { first: subscription } = session;
    if (subscription !== undefined) session.publish(subscription, frame);
  }

  joined(session: ProtocolSession, { position, resumed }: Subscription): void {
    if (this.#hello) session.send(JSON.stringify({ position, resumed }));
  }

  memberOf(session: ProtocolSession): Member | null {
    return memberOfToken(session);
  }

  gapPolicyOf({ target: { kind } }: Subscription): GapPolicy {
    // With history a client can be told where to go on, and is told.
    return kind.ignoresGaps ? "ignore" : "end";
  }

  gap(): void {
    // A frame is a message, so there is none for a gap: `gapPolicyOf` never says "report".
  }

  ended(session: ProtocolSession, _: Subscription, fault: ClosingFaultName): void {
    session.close(fault);
  }

  closeFrame(session: ProtocolSession, fault: ClosingFaultName): CloseFrame {
    const position = saysPosition(fault) ? session.first?.position : undefined;
    return { code: closeCode(fault), reason: position ?? undefined };
  }
}
