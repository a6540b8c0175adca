import type { Grant } from "../access/grants.ts";
import { expiryOf, subjectOf, type Principal } from "../access/claims.ts";
import type { Sender } from "../bus/publisher.ts";
import type { Member } from "../bus/presence.ts";
import type { Target } from "../channels/kind.ts";
import { isClosingFault, Problem, type ClosingFaultName } from "../errors.ts";
import type { JoinFrom } from "../hub/joins.ts";
import type { FanOut, GapPolicy, Subscriber, Subscription } from "../hub/subscription.ts";
import { describeError } from "../log.ts";
import type { Message } from "../message.ts";
import type { CloseFrame, Protocol, ProtocolSession } from "../protocols/protocol.ts";
import { reportClientFault, type SessionContext, type SessionOptions } from "./context.ts";
import type { Registered } from "./registry.ts";
import { SessionPublisher } from "./session-publisher.ts";
import { SubscriptionGrants } from "./subscription-grants.ts";
import type { Transport, TransportOwner } from "./transports/transport.ts";

const NONE: readonly Subscription[] = [];

/** One client on any transport, in any protocol, with any number of subscriptions. */
export class Session implements Registered, Subscriber, TransportOwner, ProtocolSession {
  index = -1;
  readonly address: string;
  readonly principal: Principal;
  readonly #context: SessionContext;
  readonly #protocol: Protocol;
  readonly #startedMs = Date.now();
  #transport: Transport | undefined;
  /** Most sessions have one subscription, and no list for it. */
  #first: Subscription | undefined;
  #others = NONE;
  #grants: SubscriptionGrants | undefined;
  #publisher: SessionPublisher | undefined;
  #closing: ClosingFaultName | undefined;

  constructor(context: SessionContext, { address, principal, protocol }: SessionOptions) {
    this.#context = context;
    this.address = address;
    this.principal = principal;
    this.#protocol = protocol;
  }

  get fanOut(): FanOut {
    return this.#protocol.fanOut;
  }

  get first(): Subscription | undefined {
    return this.#first;
  }

  get subscriptions(): readonly Subscription[] {
    return this.#first === undefined ? NONE : [this.#first, ...this.#others];
  }

  get subject(): string | null {
    return subjectOf(this.principal);
  }

  get expiresMs(): number {
    return expiryOf(this.principal);
  }

  get closing(): boolean {
    return this.#closing !== undefined;
  }

  /** The connection is there. */
  connect(transport: Transport): void {
    this.#transport = transport;
    this.#context.registry.add(this);
  }

  /** Takes a subscription, in the `attach` of `Hub.join`. @param grant rights beside those of the session's token */
  attach(subscription: Subscription, grant?: Grant): this {
    if (this.#first === undefined) this.#first = subscription;
    else this.#others = [...this.#others, subscription];
    if (grant !== undefined) {
      this.#grants ??= new SubscriptionGrants(this.#context.registry.expiries, this);
      this.#grants.add(subscription, grant);
    }
    this.#permit(subscription);
    this.#protocol.joined(this, subscription);
    return this;
  }

  /**
   * Joins a channel, see `Hub.join`.
   *
   * @param permits is asked in the turn in which it joins: what was allowed before may have changed. It may throw
   */
  async subscribe(target: Target, from: JoinFrom | undefined, permits: () => boolean, grant?: Grant): Promise<Subscription | undefined> {
    const subscription = await this.#context.hub.join(target, from, (joined) =>
      !this.closing && permits() ? this.attach(joined, grant) : undefined,
    );
    void this.replayRest(subscription);
    return subscription;
  }

  /** Sends the rest of a replay, no faster than the client reads it. */
  async replayRest(subscription: Subscription | undefined): Promise<void> {
    if (subscription === undefined) return;
    while (isReplaying(subscription)) {
      await this.#transport?.drained();
      try {
        await subscription.more();
      } catch (error) {
        // A bus that is away will be back; the client stays.
        if (error instanceof Problem && error.fault === "bus-away") continue;
        subscription.leave();
        if (error instanceof Problem && error.fault === "gap") this.ended(subscription, "gap");
        else this.#fail(error);
      }
    }
  }

  unsubscribe(subscription: Subscription): void {
    [this.#first, ...this.#others] = this.subscriptions.filter((one) => one !== subscription);
    this.#grants?.delete(subscription);
    subscription.leave();
  }

  receive(frame: Message): void {
    if (this.closing || this.#context.registry.muted) return;
    try {
      this.#protocol.receive(this, frame);
    } catch (error) {
      this.#fail(error);
    }
  }

  /** @param sender hears of the message; by default the session closes by a refusal */
  publish(subscription: Subscription, message: Message, sender?: Sender): void {
    this.#publisher ??= new SessionPublisher(this.#context, this);
    this.#publisher.publish(subscription, message, sender);
  }

  send(frame: Message): void {
    this.#transport?.send(frame);
  }

  listen(topic: string): void {
    this.#transport?.listen(topic);
  }

  unlisten(topic: string): void {
    this.#transport?.unlisten(topic);
  }

  memberOf(): Member | null {
    const { subject } = this;
    return subject === null ? null : { id: subject };
  }

  gapPolicyOf(subscription: Subscription): GapPolicy {
    return this.#protocol.gapPolicyOf(subscription);
  }

  replay({ channel }: Subscription, messages: readonly Message[], epoch: string, first: number): void {
    let offset = first;
    for (const message of messages) {
      this.send(this.#protocol.encoder.encode(channel.name, message, epoch, offset));
      offset += 1;
    }
  }

  gap(subscription: Subscription, position: string | null): void {
    this.#protocol.gap(this, subscription, position);
  }

  ended(subscription: Subscription, fault: ClosingFaultName): void {
    this.#protocol.ended(this, subscription, fault);
  }

  checkBacklog(): void {
    const { limits, counts } = this.#context;
    if (this.#closing !== undefined || (this.#transport?.waiting ?? 0) <= limits.slowConsumerBytes) return;
    counts.slowConsumers += 1;
    this.close("slow-reader");
  }

  close(fault: ClosingFaultName): void {
    if (this.#closing !== undefined) return;
    this.#closing = fault;
    this.#leaveAll();
    this.#context.registry.closing(this);
    reportClientFault(this.#context, fault, { address: this.address, subject: this.subject, where: this.#where ?? "no channel" });
    this.#transport?.finish();
  }

  closeFrame(): CloseFrame {
    return this.#protocol.closeFrame(this, this.#closing ?? "internal");
  }

  disconnected(code: number | undefined): void {
    const { registry, log } = this.#context;
    const fault = this.#closing;
    this.#closing ??= "internal";
    this.#leaveAll();
    registry.remove(this);
    registry.release(this.address);
    const duration_ms = Date.now() - this.#startedMs;
    const who = { sub: this.subject ?? undefined, address: this.address };
    // A client may write anything into the reason of its close: it is not logged.
    log.debug("connection closed", { protocol: this.#protocol.encoder.name, channel: this.#where, ...who, code, fault, duration_ms });
  }

  reconsider(): void {
    for (const subscription of this.subscriptions) this.#permit(subscription);
  }

  expire(): void {
    this.close("token-expired");
  }

  get transport(): Transport | undefined {
    return this.#transport;
  }

  get #where(): string | undefined {
    return this.#first?.channel.name;
  }

  #permit(subscription: Subscription): void {
    const { policy } = this.#context;
    const grant = this.#grants?.of(subscription);
    // Changed keys leave a session where it is; with a new token it may go on to publish.
    if (grant?.publish === true) subscription.permit(undefined);
    else if (!policy.accepts(this.principal)) subscription.permit("token-expired");
    else subscription.permit(policy.mayPublish(this.principal, subscription.target) ? undefined : "forbidden");
  }

  #leaveAll(): void {
    for (const subscription of this.subscriptions) {
      subscription.leave();
      this.#grants?.delete(subscription);
    }
  }

  #fail(error: unknown): void {
    const fault = error instanceof Problem && isClosingFault(error.fault) ? error.fault : "internal";
    const { log } = this.#context;
    if (fault === "internal") log.error("a session failed", { channel: this.#where, address: this.address, error: describeError(error) });
    this.close(fault);
  }
}

/** A function: the state changes during each await. */
function isReplaying({ state }: Subscription): boolean {
  return state === "replaying";
}
