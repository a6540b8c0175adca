import type { Kind, Target } from "../channels/kind.ts";
import { kindNaming, resolveTarget } from "../channels/resolver.ts";
import type { Channel } from "./channel.ts";
import type { Channels } from "./channels.ts";
import type { PresenceTracker } from "./presence-tracker.ts";

/**
 * Applies other kinds, in one turn: joins that come afterwards follow them. Subscriptions stay where they are, under the newer kind of
 * their path. Where it names the channel otherwise, begins or ends to keep history, or leaves the channel to a kind with other rules,
 * they end as after a gap, and their clients come back to the right place.
 */
export function reloadKinds(kinds: readonly Kind[], channels: Channels, presence: PresenceTracker): void {
  for (const channel of channels.all) {
    const kind = kindNaming(kinds, channel.name);
    if (kind === undefined || channel.suits(kind)) stay(channel, kind, kinds, presence);
    else {
      for (const subscription of channel.everybody) channel.move(subscription);
      channels.replace(channel, kind);
    }
  }
}

/** @param kind the one that the channel belongs to now; undefined if none */
function stay(channel: Channel, kind: Kind | undefined, kinds: readonly Kind[], presence: PresenceTracker): void {
  const targets = new Map<string, Target | undefined>();
  for (const subscription of channel.everybody) {
    const { target } = subscription;
    // No segment holds a control character.
    const path = target.segments.join("\0");
    if (!targets.has(path)) targets.set(path, resolveTarget(kinds, target.segments));
    // A path that no kind has any more takes nobody in, but its subscriptions stay, unless the channel is another kind's.
    const stays = kind?.mayShare(target.kind) ?? true;
    const next = targets.get(path) ?? (stays ? target : undefined);
    if (next?.channel === channel.name) subscription.retarget(next);
    else channel.move(subscription);
  }
  if (kind === undefined) return;
  channel.become(kind);
  for (const subscription of channel.everybody) presence.update(subscription, kind);
}
