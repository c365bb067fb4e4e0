/** Finds out what already exists under a name, and who made it. */
import { getLinks, type Link, parseLink, type RtnetlinkSocket, readBootId } from "@cm4all/linux";
import { plainVeth } from "./description.ts";
import { type Holdings, isPair, tryGetLink, tryGetLinkByIndex } from "./holdings.ts";
import {
  type NetworkNamespace as Namespace,
  NetworkNamespace,
  namespaceFile,
} from "./namespace.ts";
import { namespacePath } from "./paths.ts";
import type { NamespaceRecord } from "./record-text.ts";

export interface Existing {
  /**
   * What is left of a namespace that we made, after an unfinished `up` or `down`, or after
   * ip(8) has deleted its name.
   */
  readonly remains: Holdings;
  /** The reason why the name cannot be used; undefined if it can be. */
  readonly problem?: string;
}

/** Returns the record if it is from this boot; otherwise undefined. */
function ofThisBoot(record: NamespaceRecord | undefined): NamespaceRecord | undefined {
  return record?.bootId === readBootId() ? record : undefined;
}

function emptyHoldings(
  name: string,
  host: RtnetlinkSocket,
  known: NamespaceRecord | undefined,
): Holdings {
  const links = new Map((known?.links ?? []).map((link) => [link.name, link]));
  return { name, host, attached: false, ours: false, links, settings: known?.settings ?? [] };
}

/** Finds a namespace that has lost its name, but is kept alive by its processes. */
function findByProcess(known: NamespaceRecord | undefined): Namespace | undefined {
  if (known?.inode === undefined) return undefined;
  return NetworkNamespace.tryFind(known.inode, known.cookie);
}

/**
 * Finds everything that has the name now, and our namespace even if it has lost the name. The
 * caller disposes of `remains.namespace`.
 * @param record the record of the name; if it is from an earlier boot, only its existence counts
 * @param hostNames the names of the links that are to be made on the host
 */
export function findExisting(
  name: string,
  host: RtnetlinkSocket,
  record: NamespaceRecord | undefined,
  hostNames: readonly string[],
): Existing {
  const known = ofThisBoot(record);
  const file = namespaceFile(name);
  const remains = emptyHoldings(name, host, known);
  if (file === "namespace") {
    const namespace = NetworkNamespace.tryOpen(name);
    remains.namespace = namespace;
    const problem = namespaceProblem(name, namespace, known);
    if (problem !== undefined) return { remains, problem };
    remains.attached = true;
  } else if (file === "file") {
    // The file is ours if there is a record of the name, even from an earlier boot.
    if (record === undefined)
      return { remains, problem: `${namespacePath(name)} exists, but is not a network namespace` };
    remains.attached = true;
  } else {
    remains.namespace = findByProcess(known);
  }
  remains.ours = remains.namespace !== undefined;
  for (const hostName of hostNames) {
    const link = tryGetLink(host, hostName);
    if (link !== undefined && !isOurs(link, known, remains.namespace))
      return { remains, problem: `a network interface ${hostName} exists already` };
  }
  return { remains };
}

function isOurs(
  link: Link,
  known: NamespaceRecord | undefined,
  namespace: Namespace | undefined,
): boolean {
  const recorded = known?.links.some(({ outsideIndex }) => outsideIndex === link.index);
  return recorded === true || isPairWith(link, namespace);
}

/**
 * Returns the reason why the existing namespace must not be replaced; undefined if it may be
 * replaced.
 */
function namespaceProblem(
  name: string,
  namespace: Namespace | undefined,
  known: NamespaceRecord | undefined,
): string | undefined {
  const exists = `the network namespace ${name} exists already`;
  if (known === undefined || namespace?.cookie !== known.cookie)
    return `${exists}; another program made it (${namespacePath(name)})`;
  return known.state === "complete" ? `${exists}; "down ${name}" deletes it` : undefined;
}

/** Returns true if the host's link `link` has its other end inside `namespace`. */
function isPairWith(link: Link, namespace: Namespace | undefined): boolean {
  if (namespace === undefined) return false;
  return namespace.socket
    .dump(getLinks())
    .map(parseLink)
    .some((inside) => isPair(link, inside));
}

/**
 * Finds everything that `down` removes, whoever made it. The caller disposes of the
 * namespace.
 * @returns the parts that exist, and a warning if a link is left alone
 */
export function findForDown(
  name: string,
  host: RtnetlinkSocket,
  record: NamespaceRecord | undefined,
): { holdings: Holdings; warning?: string } {
  const known = ofThisBoot(record);
  const holdings = emptyHoldings(name, host, known);
  const file = namespaceFile(name);
  holdings.attached = file !== undefined;
  const named = file === "namespace" ? NetworkNamespace.tryOpen(name) : undefined;
  if (known !== undefined && known.links.length > 0) {
    // Another program's namespace may have the name by now: our links are not in that one.
    holdings.ours = named?.cookie === known.cookie;
    if (!holdings.ours) named?.[Symbol.dispose]();
    holdings.namespace = holdings.ours ? named : findByProcess(known);
    holdings.ours = holdings.namespace !== undefined;
    return { holdings };
  }
  holdings.namespace = named;
  // No link is recorded: the namespace may have been made with ip(8), for example by the original
  // package's unit, whose links have the same names as ours.
  const inside = holdings.namespace && tryGetLink(holdings.namespace.socket, plainVeth.name);
  const outside = tryGetLink(host, name) ?? pairOf(inside, host);
  const warning =
    outside === undefined || outside.kind === "veth"
      ? undefined
      : `the network interface ${name} is not a veth: it is left alone`;
  holdings.links.set(plainVeth.name, {
    name: plainVeth.name,
    insideIndex: inside?.kind === "veth" ? inside.index : undefined,
    outsideIndex: outside?.kind === "veth" ? outside.index : undefined,
  });
  return { holdings, ...(warning === undefined ? {} : { warning }) };
}

/** Returns the host's end of a pair, whatever its name is; undefined if there is none. */
function pairOf(inside: Link | undefined, host: RtnetlinkSocket): Link | undefined {
  if (inside?.peerIndex === undefined) return undefined;
  const outside = tryGetLinkByIndex(host, inside.peerIndex);
  return outside !== undefined && isPair(outside, inside) ? outside : undefined;
}
