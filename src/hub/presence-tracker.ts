import type { Bus } from "../bus/bus.ts";
import { presenceOf } from "../bus/bus.ts";
import type { Kind } from "../channels/kind.ts";
import type { Subscription } from "./subscription.ts";

/** Counts subscriptions in presence, on channels whose kind has it. */
export class PresenceTracker {
  readonly #context: { readonly bus: Bus };

  constructor(context: { readonly bus: Bus }) {
    this.#context = context;
  }

  /** Counts a subscription that has begun, or ceases to, as the channel's kind says now. */
  update(subscription: Subscription, { presence, announcesMembers }: Kind): void {
    const { channel, subscriber, counted, state } = subscription;
    if (subscriber === undefined || state === "ended" || presence === (counted !== undefined)) return;
    if (!presence) {
      this.end(subscription);
      return;
    }
    subscription.count(announcesMembers ? "announced" : "silent");
    presenceOf(this.#context.bus).join(channel.name, subscriber.memberOf(subscription), announcesMembers);
  }

  end(subscription: Subscription): void {
    const { channel, subscriber, counted } = subscription;
    if (subscriber === undefined || counted === undefined) return;
    subscription.count(undefined);
    presenceOf(this.#context.bus).leave(channel.name, subscriber.memberOf(subscription), counted === "announced");
  }
}
