/** What is there of a name already, and whose it is. */
import { getLinks, type Link, parseLink, type RtnetlinkSocket } from "@cm4all/linux";
import { type Holdings, isPair, tryGetLink } from "./holdings.ts";
import {
  type NetworkNamespace as Namespace,
  NetworkNamespace,
  namespaceFile,
} from "./namespace.ts";
import { namespacePath } from "./paths.ts";
import { type NamespaceRecord, readBootId } from "./record.ts";

export interface Existing {
  /** What an unfinished `up` or `down` has left, or ip(8), of a namespace that we made. */
  readonly remains: Holdings;
  /** Why the name cannot be used. */
  readonly problem?: string;
}

/**
 * Looks at what has the name now. The caller disposes `remains.namespace`.
 * @param record what is known about the name; of another boot it says nothing
 */
export function findExisting(
  name: string,
  host: RtnetlinkSocket,
  record: NamespaceRecord | undefined,
): Existing {
  const known = record?.bootId === readBootId() ? record : undefined;
  const file = namespaceFile(name);
  const remains: Holdings = { name, host, attached: false };
  if (file === "namespace") {
    const namespace = NetworkNamespace.tryOpen(name);
    remains.namespace = namespace;
    const problem = namespaceProblem(name, namespace, known);
    if (problem !== undefined) return { remains, problem };
    remains.attached = true;
  } else if (file === "file") {
    // Ours, since there is a record of the name, of whatever boot.
    if (record === undefined)
      return { remains, problem: `${namespacePath(name)} exists, but is no network namespace` };
    remains.attached = true;
  }
  const link = tryGetLink(host, name);
  if (link === undefined) return { remains };
  if (link.index !== known?.linkIndex && !isPairWith(link, remains.namespace))
    return { remains, problem: `a network interface ${name} exists already` };
  remains.linkIndex = link.index;
  return { remains };
}

/** Why the namespace that has the name must not be replaced. */
function namespaceProblem(
  name: string,
  namespace: Namespace | undefined,
  known: NamespaceRecord | undefined,
): string | undefined {
  const exists = `the network namespace ${name} exists already`;
  if (known === undefined || namespace?.cookie !== known.cookie)
    return `${exists}, made by somebody else (${namespacePath(name)})`;
  return known.state === "complete" ? `${exists}; "down ${name}" deletes it` : undefined;
}

/** Whether the host's link `link` has its other end inside `namespace`. */
function isPairWith(link: Link, namespace: Namespace | undefined): boolean {
  if (namespace === undefined) return false;
  return namespace.socket
    .dump(getLinks())
    .map(parseLink)
    .some((inside) => isPair(link, inside));
}
