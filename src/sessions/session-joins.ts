import { Problem, type ClosingFaultName } from "../errors.ts";
import type { Subscriber, Subscription } from "../hub/subscription.ts";
import { describeError } from "../log.ts";
import type { SubscribeRequest } from "../protocols/protocol.ts";
import { SubscriptionGrants } from "./subscription-grants.ts";
import type { SessionContext } from "./context.ts";
import type { Grant } from "../access/grants.ts";
import type { Transport } from "./transports/transport.ts";

/** The session that is sent a replay. */
interface ReplayedSession {
  readonly transport: Transport | undefined;
  /** See `Subscriber.ended`. */
  ended(subscription: Subscription, fault: ClosingFaultName): void;
  fail(error: unknown): void;
}

/** Sends the rest of a replay, no faster than the client reads it. Call it with each subscription that `Hub.join` resolves to. */
export async function replayRest(session: ReplayedSession, subscription: Subscription): Promise<void> {
  while (isReplaying(subscription)) {
    await session.transport?.drained();
    try {
      await subscription.more();
    } catch (error) {
      // A bus that is away will be back; the client stays.
      if (error instanceof Problem && error.fault === "bus-away") continue;
      if (error instanceof Problem && error.fault === "gap") session.ended(subscription, "gap");
      else session.fail(error);
    }
  }
}

/** A function: the state changes during each await. */
function isReplaying({ state }: Subscription): boolean {
  return state === "replaying";
}

/** The session that joins. */
export interface JoiningSession extends ReplayedSession {
  readonly closing: boolean;
  subscriptionTo(channel: string): Subscription | undefined;
  /** See `Session.attach`. */
  attach(subscription: Subscription, grant?: Grant): Subscriber;
  /** Tells the client once more that it is subscribed. */
  confirm(subscription: Subscription): void;
}

/** The joins under way of a session with many channels: one for each channel at a time, and each can be called off. */
export class SessionJoins {
  /** Grants that came with subscriptions. */
  readonly grants: SubscriptionGrants;
  readonly #context: SessionContext;
  readonly #session: JoiningSession;
  readonly #pending = new Map<string, SubscribeRequest>();

  constructor(context: SessionContext, session: JoiningSession) {
    this.grants = new SubscriptionGrants(context.registry.expiries, session);
    this.#context = context;
    this.#session = session;
  }

  /** See `ProtocolSession.subscribe`. */
  start(request: SubscribeRequest): void {
    const { channel } = request.target;
    const known = this.#session.subscriptionTo(channel);
    if (known !== undefined) this.#session.confirm(known);
    if (known !== undefined || this.#pending.has(channel)) return;
    this.#pending.set(channel, request);
    void this.#join(request);
  }

  /** The client does not want the channel any more. */
  callOff(channel: string): void {
    this.#pending.delete(channel);
  }

  async #join(request: SubscribeRequest): Promise<void> {
    const { target, from, permits, grant } = request;
    const isWanted = (): boolean => !this.#session.closing && this.#pending.get(target.channel) === request;
    let problem = new Problem("gap", "The configuration was changed in the meantime. Try again.");
    let subscription: Subscription | undefined;
    try {
      subscription = await this.#context.hub.join(target, from, (joined) => {
        if (!isWanted()) return undefined;
        permits();
        this.#pending.delete(target.channel);
        return this.#session.attach(joined, grant);
      });
    } catch (error) {
      if (error instanceof Problem) problem = error;
      else {
        problem = new Problem("internal", "The server failed; the fault is logged.");
        this.#context.log.error("joining failed", { channel: target.channel, error: describeError(error) });
      }
    }
    if (subscription !== undefined) await replayRest(this.#session, subscription);
    else if (isWanted()) {
      this.#pending.delete(target.channel);
      request.refused(problem);
    }
  }
}
