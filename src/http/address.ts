import { plainAddress, type Networks } from "../config/networks.ts";

/** What of Bun's server is asked here. */
export interface Peers {
  requestIP(request: Request): { readonly address: string } | null;
}

/**
 * The address that a request comes from. What a proxy says of it (`X-Forwarded-For`) counts only where it is trusted; what stands
 * further to the left was said by others, who may lie.
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

/** `1.2.3.4:567` and `[::1]:567` are written by some. */
function withoutPort(entry: string): string {
  return /^\[(.*)\](?::[0-9]+)?$/.exec(entry)?.[1] ?? /^([0-9.]+):[0-9]+$/.exec(entry)?.[1] ?? entry;
}
