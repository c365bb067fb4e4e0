/** Ports of the host that lead inside. Pure. */
import { tryParseIpAddress } from "@cm4all/linux";
import { addressProblem } from "./address-kind.ts";
import type { PublishedPort } from "./description.ts";

/** The addresses that stand for all of the host's addresses of a family. */
const ANY = { ipv4: "0.0.0.0", ipv6: "::" } as const;

/** `8080:80/tcp`, `192.0.2.1:8080:80/tcp`, `[2001:db8::1]:53:53/udp`, `0.0.0.0:8080:80/tcp` */
const published =
  /^(?:(?<address>[\d.]+|\[[\da-f:.]+\]):)?(?<host>\d+):(?<inside>\d+)\/(?<protocol>tcp|udp)$/i;

/** Parses `[ADDRESS:]PORT:PORT/PROTOCOL`; returns undefined for anything else. */
export function parsePublished(text: string): PublishedPort | undefined {
  const groups = published.exec(text)?.groups;
  if (groups === undefined) return undefined;
  const { address, host, inside, protocol } = groups;
  const hostPort = Number(host);
  const insidePort = Number(inside);
  if ([hostPort, insidePort].some((port) => port < 1 || port > 65535)) return undefined;
  const port = { hostPort, insidePort, protocol: protocol === "tcp" ? "tcp" : "udp" } as const;
  if (address === undefined) return port;
  const bare = address.replace(/^\[|\]$/g, "");
  const parsed = tryParseIpAddress(bare);
  if (parsed === undefined) return undefined;
  if (parsed.bytes.every((byte) => byte === 0)) return { ...port, address: ANY[familyOf(bare)] };
  return addressProblem(parsed) === undefined ? { ...port, address: bare } : undefined;
}

const familyOf = (address: string) => (address.includes(":") ? "ipv6" : "ipv4");

/** Returns the family that a published port is limited to; undefined if it is not limited. */
export function publishedFamily({ address }: PublishedPort): "ipv4" | "ipv6" | undefined {
  return address === undefined ? undefined : familyOf(address);
}

/** Returns the one address of the host at which a port is published; undefined for all of them. */
export function publishedAddress({ address }: PublishedPort): string | undefined {
  return address === ANY.ipv4 || address === ANY.ipv6 ? undefined : address;
}

/** Returns true if there are packets that match both of two published ports. */
export function portsClash(one: PublishedPort, other: PublishedPort): boolean {
  if (one.hostPort !== other.hostPort || one.protocol !== other.protocol) return false;
  const families = [publishedFamily(one), publishedFamily(other)];
  if (!families.includes(undefined) && families[0] !== families[1]) return false;
  const addresses = [publishedAddress(one), publishedAddress(other)];
  return addresses.includes(undefined) || addresses[0] === addresses[1];
}

/** Formats a published port as in the description. */
export function formatPublished({
  address,
  hostPort,
  insidePort,
  protocol,
}: PublishedPort): string {
  const host = address?.includes(":") === true ? `[${address}]` : address;
  return `${host === undefined ? "" : `${host}:`}${hostPort}:${insidePort}/${protocol}`;
}
