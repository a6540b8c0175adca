import type { Sender } from "../bus/publisher.ts";
import { isClosingFault, Problem, type ClosingFaultName } from "../errors.ts";
import type { Subscription } from "../hub/subscription.ts";
import { TokenBucket } from "../lib/bounds.ts";
import type { Message } from "../message.ts";
import type { SessionContext } from "./context.ts";

/** The session that publishes. */
export interface PublishingSession {
  readonly subject: string | null;
  close(fault: ClosingFaultName): void;
}

/** Publishes for one session: at its rate, by its rights, and nothing after a refusal. Made for its first message: most clients only listen. */
export class SessionPublisher implements Sender {
  readonly #context: SessionContext;
  readonly #session: PublishingSession;
  #rate: TokenBucket | undefined;
  #broken = false;

  constructor(context: SessionContext, session: PublishingSession) {
    this.#context = context;
    this.#session = session;
  }

  /** True once a message was refused: none of the later ones may arrive after the hole. */
  get broken(): boolean {
    return this.#broken;
  }

  /** Takes a frame off the client's rate. Returns false over it. */
  takeFrame(): boolean {
    const { messagesPerSecond } = this.#context.limits;
    if (messagesPerSecond === 0) return true;
    return (this.#rate ??= new TokenBucket(messagesPerSecond)).take(messagesPerSecond);
  }

  /** See `ProtocolSession.publish`. */
  publish(subscription: Subscription, message: Message, sender: Sender = this): void {
    const { publishFault, target } = subscription;
    try {
      if (subscription.moved || subscription.state === "ended") throw new Problem("gap", "The subscription has ended.");
      if (publishFault !== undefined) throw new Problem(publishFault, "There is no right to publish on this channel.");
      this.#context.hub.publish(target, target.kind.encode(message, this.#session.subject), sender);
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      // A client whose subscription has moved waits for its close.
      if (sender !== this || error.fault !== "gap") sender.refused(error);
    }
  }

  /** The bus has the message. A client of the raw protocol sees its echo. */
  confirmed(): void {}

  refused({ fault }: Problem): void {
    this.#broken = true;
    this.#session.close(isClosingFault(fault) ? fault : "internal");
  }
}
