import { ANONYMOUS, type Principal } from "../access/principal.ts";
import { isAlike, type Target } from "../channels/kind.ts";
import { addressOf, type Peers } from "./address.ts";
import type { Instance } from "./context.ts";
import { credentialOf } from "./credential.ts";
import type { Rules } from "./rules.ts";
import { targetChannel } from "./target.ts";

/** A request whose sender may do what it asks for, by rules that held throughout. */
export interface Admission {
  readonly rules: Rules;
  readonly target: Target;
  readonly principal: Principal;
}

/**
 * The checks that stand before all others of a connection: its origin, and how many there may be.
 *
 * @returns the address that the place is for; whoever ends the connection, or refuses it later, releases it
 * @throws Problem `foreign-origin`, `too-many-connections`, `too-many-connections-of-address`
 */
export function takePlace({ rules, sessions }: Instance, request: Request, server: Peers | null): string {
  rules.origins.require(request.headers);
  return sessions.registry.admit(addressOf(request, server, rules.proxies));
}

/**
 * Returns true if what an admission allows still holds, in this turn: the configuration may have been read anew since. Returns false
 * where the path leads elsewhere now, or the keys have changed.
 *
 * @throws Problem `unauthorized`, `forbidden` where the right has gone
 */
export function stillHolds(instance: Instance, request: Request, route: string, { rules, target, principal }: Admission): boolean {
  if (rules === instance.rules) return true;
  const { resolver, policy } = instance.rules;
  const next = targetChannel(request.url, route, resolver);
  if (!isAlike(next, target) || !policy.accepts(principal)) return false;
  policy.requireJoin(principal, next);
  return true;
}

/**
 * The checks that stand between the origin and a route's own work, in the contract's order (§5): path, channel, token, right. Where
 * the configuration is read anew in the middle they begin anew.
 *
 * @param route what stands before the channel's path, as in `/ws/`
 * @param isThere throws where the route is not there for a channel
 * @throws Problem `malformed-path`, `no-channel`, `unauthorized`, `forbidden`
 */
export async function admit(
  instance: Instance,
  request: Request,
  route: string,
  right: "join" | "publish",
  isThere: (target: Target) => void = () => undefined,
): Promise<Admission> {
  for (;;) {
    const { rules } = instance;
    const { resolver, policy } = rules;
    const target = targetChannel(request.url, route, resolver);
    isThere(target);
    const principal = policy.keyed ? await policy.identify(credentialOf(request)) : ANONYMOUS;
    if (rules !== instance.rules) continue;
    if (right === "join") policy.requireJoin(principal, target);
    else policy.requirePublish(principal, target);
    return { rules, target, principal };
  }
}
