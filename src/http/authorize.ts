import { ANONYMOUS, type Principal } from "../access/claims.ts";
import type { Credential } from "../access/policy.ts";
import { isAlike, type Target } from "../channels/kind.ts";
import type { HttpServer, Instance } from "./context.ts";
import { addressOf } from "./request/origins.ts";
import { targetChannel, targetQuery } from "./request/target.ts";
import type { Rules } from "./rules.ts";

/** The permission of one request: by `rules`, `principal` may do on `target` what was asked. */
export interface Authorization {
  readonly rules: Rules;
  readonly target: Target;
  readonly principal: Principal;
}

/**
 * Makes the checks that come before all others of a connection: its origin, and the number of connections.
 *
 * @returns the address that the connection counts for; the caller releases it at the connection's end, or if it refuses it later
 * @throws Problem `foreign-origin`, `too-many-connections`, `too-many-connections-of-address`
 */
export function admitConnection({ rules, sessions }: Instance, request: Request, server: HttpServer | null): string {
  rules.origins.require(request.headers);
  return sessions.registry.admit(addressOf(request, server, rules.proxies));
}

/**
 * Makes the checks between the origin and a route's own work, in the contract's order (§5): path, channel, token, right.
 *
 * @param requireAbility throws if the route does not exist for a channel
 * @throws Problem `malformed-path`, `malformed-request`, `no-channel`, `unauthorized`, `forbidden`
 */
export async function authorize(
  instance: Instance,
  request: Request,
  right: "join" | "publish",
  requireAbility: (target: Target) => void = () => undefined,
): Promise<Authorization> {
  const { rules } = instance;
  const { resolver, policy } = rules;
  const target = targetChannel(request.url, resolver);
  requireAbility(target);
  const principal = policy.keyed ? await policy.identify(credentialOf(request)) : ANONYMOUS;
  if (right === "join") policy.requireJoin(principal, target);
  else policy.requirePublish(principal, target);
  return { rules, target, principal };
}

/**
 * Returns true if an authorization to join still holds by the rules of this turn. Returns false if a reload has led the path to another channel
 * or changed the keys.
 *
 * @throws Problem `unauthorized`, `forbidden` if the right has gone
 */
export function stillHolds(instance: Instance, request: Request, { rules, target, principal }: Authorization): boolean {
  if (rules === instance.rules) return true;
  const { resolver, policy } = instance.rules;
  const next = targetChannel(request.url, resolver);
  if (!isAlike(next, target) || !policy.accepts(principal)) return false;
  policy.requireJoin(principal, next);
  return true;
}

/** Browsers cannot set headers on a WebSocket, but they can offer subprotocols. */
const TOKEN_SUBPROTOCOL = "lockstep.token.";

/**
 * Returns the credential of a request: `Authorization: Bearer` (RFC 6750 §2.1), else `?token=`, else a subprotocol. Never log it.
 */
export function credentialOf({ headers, url }: Request): Credential | undefined {
  const [scheme = "", ...bearer] = headers.get("authorization")?.trim().split(/ +/) ?? [];
  if (scheme.toLowerCase() === "bearer") return { token: bearer.join(" "), mayBeKey: true };
  const token = targetQuery(url).get("token") ?? "";
  if (token !== "") return { token, mayBeKey: false };
  const offered = headers.get("sec-websocket-protocol")?.split(",") ?? [];
  const pair = offered.map((protocol) => protocol.trim()).find((protocol) => protocol.startsWith(TOKEN_SUBPROTOCOL));
  return pair === undefined ? undefined : { token: pair.slice(TOKEN_SUBPROTOCOL.length), mayBeKey: false };
}
