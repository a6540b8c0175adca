import type { Sender } from "../bus/publisher.ts";
import { isClosingFault, type ClosingFaultName, type Problem } from "../errors.ts";
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
  readonly #rate: TokenBucket;
  #broken = false;

  constructor(context: SessionContext, session: PublishingSession) {
    this.#context = context;
    this.#session = session;
    this.#rate = new TokenBucket(context.limits.messagesPerSecond);
  }

  /** True once a message was refused: none of the later ones may arrive after the hole. */
  get broken(): boolean {
    return this.#broken;
  }

  /**
   * @param sender hears of the message, where that is not this: the session closes by a refusal
   * @throws Problem `binary-refused`, `malformed-text`
   */
  publish(subscription: Subscription, message: Message, sender: Sender = this): void {
    const { publishFault, target, moved, state } = subscription;
    // A subscription that has moved waits for its end.
    if (moved || state === "ended") return;
    if (publishFault !== undefined) {
      this.#session.close(publishFault);
      return;
    }
    const { hub, limits } = this.#context;
    if (!this.#rate.take(limits.messagesPerSecond)) {
      this.#session.close("too-fast");
      return;
    }
    hub.publish(target, target.kind.encode(message, this.#session.subject), sender);
  }

  /** The bus has the message. A client of the raw protocol sees its echo. */
  confirmed(): void {}

  refused({ fault }: Problem): void {
    this.#broken = true;
    this.#session.close(isClosingFault(fault) ? fault : "internal");
  }
}
