/** Finds out what an IP address can be used for. Pure. @see RFC 1122, RFC 4291 */
import { AF_INET, type IpAddress, type IpPrefix, tryParseIpAddress } from "@cm4all/linux";

/**
 * Returns the reason why `address` cannot be the address of a link or of a gateway; undefined if it
 * can be.
 */
export function addressProblem({ family, bytes }: IpAddress): string | undefined {
  const [first = 0] = bytes;
  if (family === AF_INET) {
    if (first >= 224 && first < 240) return "a multicast address";
    if (first === 0) return "not the address of a host";
    if (first === 127) return "a loopback address";
    return bytes.every((byte) => byte === 0xff) ? "the broadcast address" : undefined;
  }
  if (first === 0xff) return "a multicast address";
  if (bytes.subarray(0, 15).some((byte) => byte !== 0)) return undefined;
  if (bytes[15] === 0) return "not the address of a host";
  return bytes[15] === 1 ? "a loopback address" : undefined;
}

/** Returns the network of a prefix: the same prefix, with zeros in the rest of the address. */
export function networkOf({ address, prefixLength }: IpPrefix): IpPrefix {
  const bytes = Buffer.from(address.bytes);
  for (let bit = 0; bit < bytes.length * 8; bit += 8) {
    const kept = Math.min(8, Math.max(0, prefixLength - bit));
    bytes[bit / 8] = (bytes[bit / 8] ?? 0) & ((0xff00 >> kept) & 0xff);
  }
  return { address: { family: address.family, bytes }, prefixLength };
}

/** Returns true if all bits of the address after its prefix are zero. */
export function isNetwork(prefix: IpPrefix): boolean {
  return networkOf(prefix).address.bytes.equals(prefix.address.bytes);
}

/** Returns true for the broadcast address of the IPv4 network of `prefix`. */
export function isBroadcastOf(prefix: IpPrefix, { family, bytes }: IpAddress): boolean {
  if (family !== AF_INET || prefix.address.family !== family || prefix.prefixLength > 30)
    return false;
  const hostMask = 0xffffffff >>> prefix.prefixLength;
  const network = networkOf(prefix).address.bytes.readUInt32BE();
  return (network | hostMask) >>> 0 === bytes.readUInt32BE();
}

/**
 * Returns true if the text can be the address of a name server in resolv.conf(5). A link-local IPv6
 * address may be followed by the name of a link, as in `fe80::1%net0`.
 */
export function isServerAddress(text: string): boolean {
  const [host = "", zone, ...more] = text.split("%");
  const address = tryParseIpAddress(host);
  if (address === undefined || more.length > 0) return false;
  if (zone === undefined) return true;
  const linkLocal = address.bytes[0] === 0xfe && ((address.bytes[1] ?? 0) & 0xc0) === 0x80;
  return address.family !== AF_INET && linkLocal && /^[^\s\p{Cc}/:%]{1,15}$/u.test(zone);
}
