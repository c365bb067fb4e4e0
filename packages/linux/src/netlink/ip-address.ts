/** IP addresses as text and as bytes. Pure. @see RFC 4291, RFC 5952 */

export const AF_INET = 2;
export const AF_INET6 = 10;

export interface IpAddress {
  readonly family: typeof AF_INET | typeof AF_INET6;
  /** 4 or 16 bytes, in network order. */
  readonly bytes: Buffer;
}

/** An address with the length of its network's prefix in bits. */
export interface IpPrefix {
  readonly address: IpAddress;
  readonly prefixLength: number;
}

/**
 * Parses an address; undefined if `text` is not one. Zones are refused, and so are octets with a
 * leading zero.
 */
export function tryParseIpAddress(text: string): IpAddress | undefined {
  if (!text.includes(":")) {
    const bytes = parseIpv4(text);
    return bytes && { family: AF_INET, bytes: Buffer.from(bytes) };
  }
  const bytes = parseIpv6(text);
  return bytes && { family: AF_INET6, bytes: Buffer.from(bytes) };
}

/** Parses `ADDRESS/LENGTH`; undefined if `text` is not of this form. */
export function tryParseIpPrefix(text: string): IpPrefix | undefined {
  const [host = "", length = "", ...more] = text.split("/");
  const address = tryParseIpAddress(host);
  if (address === undefined || more.length > 0 || !/^(0|[1-9]\d{0,2})$/.test(length))
    return undefined;
  const prefixLength = Number(length);
  return prefixLength <= address.bytes.length * 8 ? { address, prefixLength } : undefined;
}

function parseIpv4(text: string): number[] | undefined {
  const octets = text.split(".");
  if (octets.length !== 4) return undefined;
  if (!octets.every((octet) => /^(0|[1-9]\d{0,2})$/.test(octet) && Number(octet) <= 255))
    return undefined;
  return octets.map(Number);
}

/** Returns the bytes of groups separated by colons; the last may be an IPv4 address. */
function parseGroups(text: string, mayEndInIpv4: boolean): number[] | undefined {
  if (text === "") return [];
  const bytes: number[] = [];
  const groups = text.split(":");
  for (const [i, group] of groups.entries()) {
    if (mayEndInIpv4 && i === groups.length - 1 && group.includes(".")) {
      const ipv4 = parseIpv4(group);
      if (ipv4 === undefined) return undefined;
      bytes.push(...ipv4);
    } else {
      if (!/^[0-9a-f]{1,4}$/i.test(group)) return undefined;
      const value = Number.parseInt(group, 16);
      bytes.push(value >> 8, value & 0xff);
    }
  }
  return bytes;
}

function parseIpv6(text: string): number[] | undefined {
  const halves = text.split("::");
  if (halves.length > 2) return undefined;
  const [left = "", right] = halves;
  const head = parseGroups(left, right === undefined);
  const tail = parseGroups(right ?? "", true);
  if (head === undefined || tail === undefined) return undefined;
  const missing = 16 - head.length - tail.length;
  // "::" stands for at least one group; without it, no group may be missing.
  if (right === undefined ? missing !== 0 : missing < 2) return undefined;
  return [...head, ...new Array<number>(missing).fill(0), ...tail];
}

/** Returns the text of an address, the shortest form for IPv6. @see RFC 5952 */
export function formatIpAddress({ family, bytes }: IpAddress): string {
  if (family === AF_INET) return bytes.join(".");
  const groups: number[] = [];
  for (let i = 0; i < 16; i += 2) groups.push(bytes.readUInt16BE(i));
  // The longest run of zeros, or the first of equally long runs, becomes "::".
  let start = 0;
  let length = 1;
  for (let i = 0; i < 8; i++) {
    let end = i;
    while (groups[end] === 0) end++;
    if (end - i > length) {
      start = i;
      length = end - i;
    }
  }
  const hex = groups.map((group) => group.toString(16));
  if (length < 2) return hex.join(":");
  return `${hex.slice(0, start).join(":")}::${hex.slice(start + length).join(":")}`;
}

/** Returns whether `address` lies in the network of `prefix`. */
export function prefixContains({ address: network, prefixLength }: IpPrefix, address: IpAddress) {
  if (network.family !== address.family) return false;
  for (let bit = 0; bit < prefixLength; bit += 8) {
    const mask = (0xff00 >> Math.min(8, prefixLength - bit)) & 0xff;
    const difference = (network.bytes[bit / 8] ?? 0) ^ (address.bytes[bit / 8] ?? 0);
    if ((difference & mask) !== 0) return false;
  }
  return true;
}
