import type { Grant } from "../access/grants.ts";
import { expiryOf, subjectOf, type Principal } from "../access/claims.ts";
import type { Sender } from "../bus/publisher.ts";
import type { Member } from "../bus/presence.ts";
import { isClosingFault, Problem, type ClosingFaultName } from "../errors.ts";
import { PAGE_BYTES } from "../hub/recovery.ts";
import type { FanOut, GapPolicy, Subscriber, Subscription } from "../hub/subscription.ts";
import { describeError } from "../log.ts";
import type { Message } from "../message.ts";
import type { CloseFrame, Protocol, ProtocolSession, SubscribeRequest } from "../protocols/protocol.ts";
import { reportClientFault, type SessionContext, type SessionOptions } from "./context.ts";
import type { Registered } from "./registry.ts";
import { SessionJoins } from "./session-joins.ts";
import { SessionPublisher } from "./session-publisher.ts";
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
  #first: Subscription | undefined;
  #others = NONE;
  #publisher: SessionPublisher | undefined;
  /** Of a session that subscribes by frames or brings grants. */
  #joins: SessionJoins | undefined;
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

  subscriptionTo(channel: string): Subscription | undefined {
    return this.subscriptions.find((subscription) => subscription.channel.name === channel);
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

  connect(transport: Transport): void {
    this.#transport = transport;
    this.#context.registry.add(this);
  }

  /** Takes a subscription, in the `attach` of `Hub.join`. @param grant rights beside those of the session's token */
  attach(subscription: Subscription, grant?: Grant): this {
    if (this.#first === undefined) this.#first = subscription;
    else this.#others = [...this.#others, subscription];
    if (grant !== undefined) this.#joining().grants.add(subscription, grant);
    this.#permit(subscription);
    this.#protocol.joined(this, subscription);
    return this;
  }

  subscribe(request: SubscribeRequest): void {
    this.#joining().start(request);
  }

  unsubscribe(channel: string): void {
    this.#joins?.callOff(channel);
    const subscription = this.subscriptionTo(channel);
    if (subscription === undefined) return;
    subscription.leave();
    this.#forget(subscription);
  }

  receive(frame: Message): void {
    if (this.closing || this.#context.registry.muted) return;
    if (!this.#publishing().takeFrame()) return this.close("too-fast");
    try {
      this.#protocol.receive(this, frame);
    } catch (error) {
      this.fail(error);
    }
  }

  publish(subscription: Subscription, message: Message, sender?: Sender): void {
    this.#publishing().publish(subscription, message, sender);
  }

  confirm(subscription: Subscription): void {
    this.#guard(() => this.#protocol.joined(this, subscription));
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

  memberOf(subscription: Subscription): Member | null {
    return this.#protocol.memberOf(this, subscription);
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
    this.#guard(() => this.#protocol.gap(this, subscription, position));
  }

  ended(subscription: Subscription, fault: ClosingFaultName): void {
    subscription.leave();
    this.#guard(() => this.#protocol.ended(this, subscription, fault));
    if (!this.closing) this.#forget(subscription);
  }

  checkBacklog(): void {
    const { limits, counts } = this.#context;
    // A replay waits for its reader after each page.
    const pageBytes = this.subscriptions.some(({ state }) => state === "replaying") ? 2 * PAGE_BYTES : 0;
    if (this.closing || (this.#transport?.waiting ?? 0) <= limits.slowConsumerBytes + pageBytes) return;
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
    const grant = this.#joins?.grants.of(subscription);
    // Changed keys leave a session where it is; with a new token it may go on to publish.
    if (grant?.publish === true) subscription.permit(undefined);
    else if (!policy.accepts(this.principal)) subscription.permit("token-expired");
    else subscription.permit(policy.mayPublish(this.principal, subscription.target) ? undefined : "forbidden");
  }

  #leaveAll(): void {
    for (const subscription of this.subscriptions) {
      subscription.leave();
      this.#joins?.grants.delete(subscription);
    }
  }

  #forget(subscription: Subscription): void {
    [this.#first, ...this.#others] = this.subscriptions.filter((one) => one !== subscription);
    this.#joins?.grants.delete(subscription);
  }

  #joining(): SessionJoins {
    return (this.#joins ??= new SessionJoins(this.#context, this));
  }

  #publishing(): SessionPublisher {
    return (this.#publisher ??= new SessionPublisher(this.#context, this));
  }

  /** A fault of the protocol ends its session, not the process: many calls come from timers and from the bus. */
  #guard(act: () => void): void {
    try {
      act();
    } catch (error) {
      this.fail(error);
    }
  }

  /** Closes by a fault of the client, or logs a fault of the server. */
  fail(error: unknown): void {
    const fault = error instanceof Problem && isClosingFault(error.fault) ? error.fault : "internal";
    const { log } = this.#context;
    if (fault === "internal") log.error("a session failed", { channel: this.#where, address: this.address, error: describeError(error) });
    this.close(fault);
  }
}
