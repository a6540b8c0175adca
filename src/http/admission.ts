import { NOBODY, type Caller } from "../access/caller.ts";
import type { Resolved } from "../channels/kind.ts";
import { addressOf, type Peers } from "./address.ts";
import type { Instance } from "./context.ts";
import { credentialOf } from "./credential.ts";
import type { Rules } from "./rules.ts";
import { targetChannel } from "./target.ts";

/** A request whose sender may do what it asks for, by rules that held throughout. */
export interface Admission {
  readonly rules: Rules;
  readonly target: Resolved;
  readonly caller: Caller;
}

/**
 * The checks that stand before all others of a connection: its origin, and how many there may be.
 *
 * @returns the address that the place is for; whoever ends the connection, or refuses it later, releases it
 * @throws Problem `foreign-origin`, `too-many-connections`, `too-many-connections-of-address`
 */
export function takePlace({ rules, house }: Instance, request: Request, server: Peers | null): string {
  rules.origins.require(request.headers);
  return house.connections.admit(addressOf(request, server, rules.proxies));
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
  isThere: (target: Resolved) => void = () => undefined,
): Promise<Admission> {
  for (;;) {
    const { rules } = instance;
    const { directory, access } = rules;
    const target = targetChannel(request.url, route, directory);
    isThere(target);
    const caller = access.keyed ? await access.identify(credentialOf(request)) : NOBODY;
    if (rules !== instance.rules) continue;
    if (right === "join") access.requireJoin(caller, target);
    else access.requirePublish(caller, target);
    return { rules, target, caller };
  }
}
