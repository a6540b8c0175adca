import { BlockList, isIP } from "node:net";

/** A set of addresses, given one by one or as CIDRs (RFC 4632, RFC 4291 §2.3). */
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

/** An address in the form in which equal ones are equal texts: IPv4 also where IPv6 carries it. Undefined where it is none. */
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

/** What is allowed where a text is no network. */
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
  // An IPv4 network in IPv6's words would count its bits from elsewhere.
  if (!/^(0|[1-9][0-9]{0,2})$/.test(length) || Number(length) > bits || (bits === 32 && given.includes(":")))
    throw new Error("not a network");
  return { address, family: bits === 128 ? "ipv6" : "ipv4", prefix: Number(length) };
}
