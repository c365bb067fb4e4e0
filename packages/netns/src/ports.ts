/** Ports of the host that lead inside. Pure. */
import { tryParseIpAddress } from "@cm4all/linux";
import { addressProblem } from "./address-kind.ts";
import type { PublishedPort } from "./description.ts";

/** `8080:80/tcp`, `192.0.2.1:8080:80/tcp`, `[2001:db8::1]:53:53/udp` */
const published =
  /^(?:(?<address>[\d.]+|\[[\da-f:.]+\]):)?(?<host>\d+):(?<inside>\d+)\/(?<protocol>tcp|udp)$/i;

/** Reads `[ADDRESS:]PORT:PORT/PROTOCOL`; undefined if it is something else. */
export function parsePublished(text: string): PublishedPort | undefined {
  const groups = published.exec(text)?.groups;
  if (groups === undefined) return undefined;
  const { address, host, inside, protocol } = groups;
  const hostPort = Number(host);
  const insidePort = Number(inside);
  if ([hostPort, insidePort].some((port) => port < 1 || port > 65535)) return undefined;
  const bare = address?.replace(/^\[|\]$/g, "");
  const parsed = bare === undefined ? undefined : tryParseIpAddress(bare);
  if (bare !== undefined && (parsed === undefined || addressProblem(parsed) !== undefined))
    return undefined;
  return { address: bare, hostPort, insidePort, protocol: protocol === "tcp" ? "tcp" : "udp" };
}

/** Whether two published ports could mean the same packet. */
export function portsClash(one: PublishedPort, other: PublishedPort): boolean {
  if (one.hostPort !== other.hostPort || one.protocol !== other.protocol) return false;
  return one.address === undefined || other.address === undefined || one.address === other.address;
}

/** As the description has it. */
export function formatPublished({
  address,
  hostPort,
  insidePort,
  protocol,
}: PublishedPort): string {
  const host = address?.includes(":") === true ? `[${address}]` : address;
  return `${host === undefined ? "" : `${host}:`}${hostPort}:${insidePort}/${protocol}`;
}
