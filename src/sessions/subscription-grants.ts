import type { Grant } from "../access/grants.ts";
import type { ClosingFaultName } from "../errors.ts";
import type { Subscription } from "../hub/subscription.ts";
import type { Expiries, Expiring } from "./expiries.ts";

interface Entry extends Expiring {
  readonly grant: Grant;
}

/** The session that holds grants. */
interface GrantedSession {
  ended(subscription: Subscription, fault: ClosingFaultName): void;
}

/** The grants that came with a session's subscriptions. Made for the first one: most sessions have the rights of their token alone. */
export class SubscriptionGrants {
  readonly #expiries: Expiries;
  readonly #session: GrantedSession;
  readonly #entries = new Map<Subscription, Entry>();

  constructor(expiries: Expiries, session: GrantedSession) {
    this.#expiries = expiries;
    this.#session = session;
  }

  of(subscription: Subscription): Grant | undefined {
    return this.#entries.get(subscription)?.grant;
  }

  /** The subscription ends when the grant expires. */
  add(subscription: Subscription, grant: Grant): void {
    const expire = (): void => this.#session.ended(subscription, "token-expired");
    const entry = { grant, expiresMs: grant.expiresMs, expire };
    this.#entries.set(subscription, entry);
    this.#expiries.add(entry);
  }

  delete(subscription: Subscription): void {
    const entry = this.#entries.get(subscription);
    if (entry === undefined) return;
    this.#entries.delete(subscription);
    this.#expiries.remove(entry);
  }
}
