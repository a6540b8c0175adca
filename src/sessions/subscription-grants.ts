import type { Grant } from "../access/grants.ts";
import type { Subscription } from "../hub/subscription.ts";
import type { Expiries, Expiring } from "./expiries.ts";

interface Entry extends Expiring {
  readonly grant: Grant;
}

/** The grants that came with a session's subscriptions. Made for the first one: most sessions have the rights of their token alone. */
export class SubscriptionGrants {
  readonly #expiries: Expiries;
  readonly #entries = new Map<Subscription, Entry>();

  constructor(expiries: Expiries) {
    this.#expiries = expiries;
  }

  of(subscription: Subscription): Grant | undefined {
    return this.#entries.get(subscription)?.grant;
  }

  /** @param expire is called when the grant expires, unless it is deleted before */
  add(subscription: Subscription, grant: Grant, expire: () => void): void {
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
