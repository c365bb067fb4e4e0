/** Takes networks from a pool. Pure. */
import { formatIpAddress, type IpPrefix, prefixContains } from "@cm4all/linux";
import { networkOf } from "./address-kind.ts";

export interface Pool {
  /** The whole network, such as 10.213.0.0/16. */
  readonly network: IpPrefix;
  /** The prefix length of the networks that are taken from it, such as 30. */
  readonly length: number;
}

/** The maximum number of networks that are tried, far more than there are namespaces. */
const TRIES_MAX = 65_536;

/** Returns true if two networks have an address in common. */
export const overlaps = (one: IpPrefix, other: IpPrefix): boolean =>
  prefixContains(one, other.address) || prefixContains(other, one.address);

/** Returns the number of networks in the pool that are tried. */
function countOf({ network, length }: Pool): number {
  return Math.min(TRIES_MAX, 2 ** (length - network.prefixLength));
}

function networkAt({ network, length }: Pool, index: number): IpPrefix {
  const bytes = Buffer.from(networkOf(network).address.bytes);
  // An index has at most 16 bits, and `length` leaves one or two for the host: this is exact.
  let carry = index * 2 ** (bytes.length * 8 - length);
  for (let i = bytes.length - 1; i >= 0 && carry > 0; i--) {
    carry += bytes[i] ?? 0;
    bytes[i] = carry % 256;
    carry = Math.floor(carry / 256);
  }
  return { address: { family: network.address.family, bytes }, prefixLength: length };
}

/**
 * Returns the hash of a name (FNV-1a). It decides where the search starts, so that a name gets the
 * same network again if that network is free.
 */
function hash(name: string): number {
  let value = 0x811c9dc5;
  for (const byte of Buffer.from(name)) value = Math.imul(value ^ byte, 0x01000193) >>> 0;
  return value;
}

/**
 * Takes a network that overlaps none of `taken`.
 * @param remembered the former network of the name, which is taken again if it is free
 * @returns the network; undefined if none is free
 */
export function takeNetwork(
  pool: Pool,
  name: string,
  taken: readonly IpPrefix[],
  remembered?: IpPrefix,
): IpPrefix | undefined {
  const near = taken.filter((other) => overlaps(pool.network, other));
  const isFree = (network: IpPrefix) => !near.some((other) => overlaps(network, other));
  if (
    remembered?.prefixLength === pool.length &&
    prefixContains(pool.network, remembered.address) &&
    isFree(remembered)
  )
    return remembered;
  const count = countOf(pool);
  const start = hash(name) % count;
  for (let i = 0; i < count; i++) {
    const network = networkAt(pool, (start + i) % count);
    if (isFree(network)) return network;
  }
  return undefined;
}

/** Returns the addresses of the host's end and of the other end. */
export function endsOf(network: IpPrefix): { outside: IpPrefix; inside: IpPrefix } {
  // A network for two hosts, /31 or /127, needs no address of its own. @see RFC 3021, RFC 6164
  const bits = network.address.bytes.length * 8;
  const first = network.prefixLength === bits - 1 ? 0 : 1;
  return { outside: hostAt(network, first), inside: hostAt(network, first + 1) };
}

function hostAt({ address, prefixLength }: IpPrefix, offset: number): IpPrefix {
  const bytes = Buffer.from(address.bytes);
  const last = bytes.length - 1;
  bytes[last] = (bytes[last] ?? 0) + offset;
  return { address: { family: address.family, bytes }, prefixLength };
}

/** Returns a network as text, such as `192.0.2.0/24`. */
export const formatPrefix = ({ address, prefixLength }: IpPrefix): string =>
  `${formatIpAddress(address)}/${prefixLength}`;
