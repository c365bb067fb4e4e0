/** The command `list`. */

import { fstatSync } from "node:fs";
import { alignColumns, CommandFailure } from "@cm4all/command";
import {
  formatIpAddress,
  getAddresses,
  getLinks,
  IFF_UP,
  type Link,
  parseLink,
  parseLinkAddress,
  RtnetlinkSocket,
} from "@cm4all/linux";
import { requireRoot } from "./failures.ts";
import { findProblems } from "./health.ts";
import { isPair } from "./holdings.ts";
import { NetworkNamespace, namespaceNames } from "./namespace.ts";
import { listTables } from "./nft.ts";
import { formatPublished } from "./ports.ts";
import { processesByNetns } from "./processes.ts";
import { peekAllRecords } from "./record.ts";
import type { NamespaceRecord } from "./record-text.ts";

export interface ListedLink {
  readonly name: string;
  /** The kernel's kind, such as veth or macvlan; undefined for hardware and lo. */
  readonly kind?: string | undefined;
  /** "down", or the operational state of a link that has the flag IFF_UP, such as "up". */
  readonly state: string;
  readonly mac?: string | undefined;
  readonly mtu?: number | undefined;
  readonly addresses: readonly string[];
  /** The host's end of a pair, or the host's link below a macvlan, ipvlan or VLAN. */
  readonly host?: { readonly name: string; readonly state: string } | undefined;
  /** The bridge of which the host's end is a port. */
  readonly bridge?: string | undefined;
}

export interface ListedNamespace {
  readonly name: string;
  /** All namespaces except "foreign" ones are ours. */
  readonly state: NamespaceRecord["state"] | "foreign";
  /** Differences from what `up` made, a line for each; empty if there are none. */
  readonly problems: readonly string[];
  /** The host's end of the first pair. */
  readonly hostLink?: { readonly name: string; readonly state: string } | undefined;
  readonly links: readonly ListedLink[];
  readonly processes: number;
  /** Published ports, as in the description. */
  readonly publish: readonly string[];
  /** Networks from the pool. */
  readonly pool: readonly string[];
}

/** Returns all namespaces that have a name, and namespaces of ours that have lost their name. */
export function listNamespaces(): ListedNamespace[] {
  requireRoot();
  using host = new RtnetlinkSocket();
  const hostLinks = host.dump(getLinks()).map(parseLink);
  const processes = processesByNetns();
  const records = peekAllRecords();
  const tables = tablesOf(records);
  const listed: ListedNamespace[] = [];
  for (const name of new Set([...namespaceNames(), ...records.keys()])) {
    using namespace = NetworkNamespace.tryOpen(name);
    const record = records.get(name);
    if (namespace === undefined && record === undefined) continue;
    const ours = namespace === undefined || record?.cookie === namespace.cookie;
    const known = ours ? record : undefined;
    const inside = namespace?.socket.dump(getLinks()).map(parseLink) ?? [];
    const links = namespace === undefined ? [] : listLinks(namespace, inside, hostLinks);
    const hostLink = links.find(
      ({ kind, host: end }) => kind === "veth" && end !== undefined,
    )?.host;
    listed.push({
      name,
      state: known?.state ?? "foreign",
      problems:
        known === undefined
          ? []
          : findProblems(name, known, {
              inside,
              hostLinks,
              tables,
              attached: namespace !== undefined,
            }),
      ...(hostLink === undefined ? {} : { hostLink }),
      links,
      processes: countProcesses(processes, namespace),
      publish: (known?.publish ?? []).map(formatPublished),
      pool: known?.pool ?? [],
    });
  }
  return listed.sort((a, b) => (a.name < b.name ? -1 : 1));
}

function countProcesses(
  processes: ReadonlyMap<number, readonly number[]>,
  namespace: NetworkNamespace | undefined,
): number {
  if (namespace === undefined) return 0;
  return processes.get(fstatSync(namespace.fd.number).ino)?.length ?? 0;
}

/**
 * Returns the names of the host's nftables tables; undefined if nft(8) cannot list them. If no
 * namespace has a table, nft is not run, and the set is empty.
 */
function tablesOf(records: ReadonlyMap<string, NamespaceRecord>): Set<string> | undefined {
  const some = [...records.values()].some(({ undo }) =>
    undo.some(({ kind }) => kind === "delete-table"),
  );
  if (!some) return new Set();
  try {
    return new Set(listTables());
  } catch (error) {
    if (error instanceof CommandFailure) return undefined;
    throw error;
  }
}

function stateOf({ flags, operState = "unknown" }: Link): string {
  if ((flags & IFF_UP) === 0) return "down";
  // The loopback device has no operational state.
  return operState === "unknown" ? "up" : operState;
}

function listLinks(
  namespace: NetworkNamespace,
  inside: readonly Link[],
  hostLinks: readonly Link[],
): ListedLink[] {
  const addresses = namespace.socket.dump(getAddresses()).map(parseLinkAddress);
  return inside.map((link) => {
    const below = findBelow(link, hostLinks);
    const bridge = hostLinks.find(({ index }) => index === below?.masterIndex)?.name;
    return {
      name: link.name,
      ...(link.kind === undefined ? {} : { kind: link.kind }),
      state: stateOf(link),
      mac: link.mac,
      mtu: link.mtuBytes,
      addresses: addresses
        .filter((address) => address !== undefined)
        .filter(({ linkIndex }) => linkIndex === link.index)
        .map(({ prefix }) => `${formatIpAddress(prefix.address)}/${prefix.prefixLength}`),
      ...(below === undefined ? {} : { host: { name: below.name, state: stateOf(below) } }),
      ...(bridge === undefined ? {} : { bridge }),
    };
  });
}

/** Returns the link on the host to which `link` is connected; undefined if there is none. */
function findBelow(link: Link, hostLinks: readonly Link[]): Link | undefined {
  if (link.kind === "veth") return hostLinks.find((end) => isPair(end, link));
  // A VLAN may be on a link inside: then the kernel reports no other namespace.
  if (link.peerIndex === undefined || link.peerNetnsId === undefined) return undefined;
  return hostLinks.find(({ index }) => index === link.peerIndex);
}

/** Returns a table for people, with a line for each link. Pure. */
export function formatNamespaces(namespaces: readonly ListedNamespace[]): string {
  const rows = [["NAME", "STATE", "PROCESSES", "HOST LINK", "INSIDE", "ADDRESSES"]];
  const notes: string[] = [];
  for (const { name, state, problems, processes, links } of namespaces) {
    const cells = links.map((link) => [
      formatHost(link),
      `${link.name} ${link.state}`,
      link.addresses.join(" "),
    ]);
    const [first, ...others] = cells.length === 0 ? [["-", "-", ""]] : cells;
    const shown = problems.length === 0 ? state : `${state}!`;
    rows.push([name, shown, String(processes), ...(first ?? [])]);
    for (const other of others) rows.push(["", "", "", ...other]);
    for (const problem of problems) notes.push(`${name}: ${problem}\n`);
  }
  const lines = alignColumns(rows).map((line) => `${line}\n`);
  return [...lines, ...(notes.length > 0 ? ["\n", ...notes] : [])].join("");
}

function formatHost({ kind, host, bridge }: ListedLink): string {
  if (host === undefined) return "-";
  const how = kind === "veth" ? "" : ` (${kind})`;
  return `${host.name} ${host.state}${bridge === undefined ? how : ` in ${bridge}`}`;
}
