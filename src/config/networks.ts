import { BlockList, isIP } from "node:net";

/** A set of addresses and CIDRs (RFC 4632, RFC 4291 §2.3). */
export class Networks {
  readonly #list = new BlockList();

  /** @param texts each must be without fault, see {@link networkFault} */
  constructor(texts: readonly string[]) {
    for (const text of texts) {
      const { address, family, prefix } = parseNetwork(text);
      this.#list.addSubnet(address, prefix, family);
    }
  }

  /** @param address as {@link plainAddress} gives it */
  has(address: string): boolean {
    return this.#list.check(address, isIP(address) === 6 ? "ipv6" : "ipv4");
  }
}

/** The canonical text of an address, with IPv4-mapped IPv6 as IPv4; undefined for anything else. Equal addresses are equal texts. */
export function plainAddress(text: string): string | undefined {
  const family = isIP(text);
  if (family !== 6) return family === 4 ? text : undefined;
  if (text.includes("%")) return undefined;
  const address = new URL(`http://[${text}]`).hostname.slice(1, -1);
  const mapped = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(address);
  if (mapped === null) return address;
  const [high = 0, low = 0] = mapped.slice(1).map((part) => Number.parseInt(part, 16));
  return [high >> 8, high & 255, low >> 8, low & 255].join(".");
}

/** The allowed form of a text that is not a network. */
export function networkFault(text: string): string | undefined {
  try {
    return parseNetwork(text).prefix >= 0 ? undefined : "";
  } catch {
    return "an address, or a CIDR as in 10.0.0.0/8";
  }
}

function parseNetwork(text: string): { address: string; family: "ipv4" | "ipv6"; prefix: number } {
  const [given = "", length, ...more] = text.split("/");
  const address = plainAddress(given);
  if (address === undefined || more.length > 0) throw new Error("not a network");
  const bits = isIP(address) === 6 ? 128 : 32;
  if (length === undefined) return { address, family: bits === 128 ? "ipv6" : "ipv4", prefix: bits };
  // The prefix of an IPv4-mapped network counts from the start of the IPv6 address.
  if (!/^(0|[1-9][0-9]{0,2})$/.test(length) || Number(length) > bits || (bits === 32 && given.includes(":")))
    throw new Error("not a network");
  return { address, family: bits === 128 ? "ipv6" : "ipv4", prefix: Number(length) };
}
