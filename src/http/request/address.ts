import { plainAddress, type Networks } from "../../config/networks.ts";

/** The part of Bun's server that knows addresses. */
interface Peers {
  requestIP(request: Request): { readonly address: string } | null;
}

/**
 * Returns the address that a request comes from, or "unknown". `X-Forwarded-For` is read from the right and only as far as trusted proxies wrote
 * it: a client can forge everything further left.
 */
export function addressOf(request: Request, server: Peers | null, proxies: Networks): string {
  const peer = server?.requestIP(request)?.address ?? "";
  let address = plainAddress(peer);
  if (address === undefined) return "unknown";
  const forwarded = request.headers.get("x-forwarded-for")?.split(",").toReversed() ?? [];
  for (const entry of forwarded) {
    if (!proxies.has(address)) break;
    const before = plainAddress(withoutPort(entry.trim()));
    if (before === undefined) break;
    address = before;
  }
  return address;
}

/** Some proxies write `1.2.3.4:567` and `[::1]:567`. */
function withoutPort(entry: string): string {
  return /^\[(.*)\](?::[0-9]+)?$/.exec(entry)?.[1] ?? /^([0-9.]+):[0-9]+$/.exec(entry)?.[1] ?? entry;
}
