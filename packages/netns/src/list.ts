/** The command `list`. */
import { fstatSync, readdirSync } from "node:fs";
import {
  formatIpAddress,
  getAddresses,
  getLinks,
  IFF_UP,
  isErrno,
  type Link,
  parseLink,
  parseLinkAddress,
  RtnetlinkSocket,
} from "@cm4all/linux";
import { requireRoot } from "./failures.ts";
import { isPair } from "./holdings.ts";
import { NetworkNamespace } from "./namespace.ts";
import { NETNS_DIRECTORY } from "./paths.ts";
import { processesByNetns } from "./processes.ts";
import { type NamespaceRecord, peekRecord, readBootId } from "./record.ts";

export interface ListedLink {
  readonly name: string;
  /** "down", or the operational state of one that is set up, such as "up". */
  readonly state: string;
  readonly mac?: string | undefined;
  readonly mtu?: number | undefined;
  readonly addresses: readonly string[];
}

export interface ListedNamespace {
  readonly name: string;
  /** All but the "foreign" ones are ours. */
  readonly state: NamespaceRecord["state"] | "foreign";
  /** The host's end of the pair. */
  readonly hostLink?: { readonly name: string; readonly state: string } | undefined;
  readonly links: readonly ListedLink[];
  readonly processes: number;
}

/** All namespaces that have a name. */
export function listNamespaces(): ListedNamespace[] {
  requireRoot();
  using host = new RtnetlinkSocket();
  const hostLinks = host.dump(getLinks()).map(parseLink);
  const processes = processesByNetns();
  const bootId = readBootId();
  const listed: ListedNamespace[] = [];
  for (const name of namespaceNames()) {
    using namespace = NetworkNamespace.tryOpen(name);
    if (namespace === undefined) continue;
    const record = peekRecord(name);
    const ours = record?.bootId === bootId && record.cookie === namespace.cookie;
    const links = namespace.socket.dump(getLinks()).map(parseLink);
    const pair = findPair(hostLinks, links);
    listed.push({
      name,
      state: ours ? record.state : "foreign",
      ...(pair === undefined ? {} : { hostLink: { name: pair.name, state: stateOf(pair) } }),
      links: listLinks(namespace, links),
      processes: processes.get(fstatSync(namespace.fd.number).ino)?.length ?? 0,
    });
  }
  return listed;
}

function namespaceNames(): string[] {
  try {
    return readdirSync(NETNS_DIRECTORY).sort();
  } catch (error) {
    if (isErrno(error, "ENOENT")) return [];
    throw error;
  }
}

/** The end outside of the first pair that has its other end inside. */
function findPair(outside: readonly Link[], inside: readonly Link[]): Link | undefined {
  return outside.find((end) => inside.some((other) => isPair(end, other)));
}

function stateOf({ flags, operState = "unknown" }: Link): string {
  if ((flags & IFF_UP) === 0) return "down";
  // The loopback device has no operational state.
  return operState === "unknown" ? "up" : operState;
}

function listLinks(namespace: NetworkNamespace, links: readonly Link[]): ListedLink[] {
  const addresses = namespace.socket.dump(getAddresses()).map(parseLinkAddress);
  return links.map((link) => ({
    name: link.name,
    state: stateOf(link),
    mac: link.mac,
    mtu: link.mtuBytes,
    addresses: addresses
      .filter((address) => address !== undefined)
      .filter(({ linkIndex }) => linkIndex === link.index)
      .map(({ prefix }) => `${formatIpAddress(prefix.address)}/${prefix.prefixLength}`),
  }));
}

/** A table for people, with one line for each link. Pure. */
export function formatNamespaces(namespaces: readonly ListedNamespace[]): string {
  const rows = [["NAME", "STATE", "PROCESSES", "HOST LINK", "INSIDE", "ADDRESSES"]];
  for (const { name, state, processes, hostLink, links } of namespaces) {
    const outside = hostLink === undefined ? "-" : `${hostLink.name} ${hostLink.state}`;
    const [first, ...others] = links.map((link) => [
      `${link.name} ${link.state}`,
      link.addresses.join(" "),
    ]);
    rows.push([name, state, String(processes), outside, ...(first ?? ["-", ""])]);
    for (const other of others) rows.push(["", "", "", "", ...other]);
  }
  const widths = rows[0]?.map((_, column) =>
    Math.max(...rows.map((row) => row[column]?.length ?? 0)),
  );
  return rows
    .map((row) => row.map((cell, column) => cell.padEnd(widths?.[column] ?? 0)).join("  "))
    .map((line) => `${line.trimEnd()}\n`)
    .join("");
}
