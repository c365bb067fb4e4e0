/** What there is of a namespace, and how it is removed. */
import { fstatSync } from "node:fs";
import {
  deleteLink,
  getLink,
  isErrno,
  type Link,
  parseLink,
  type RtnetlinkSocket,
} from "@cm4all/linux";
import { detachNamespace, type NetworkNamespace } from "./namespace.ts";
import type { Undo } from "./plan.ts";
import { endProcesses } from "./processes.ts";
import { removeResolvConf } from "./resolv-conf.ts";

/** All that may be removed. */
export interface Holdings {
  readonly name: string;
  /** In the host's network namespace. */
  readonly host: RtnetlinkSocket;
  namespace?: NetworkNamespace | undefined;
  /** Whether the name below /run/netns is ours, with a namespace or half of one. */
  attached: boolean;
  /** The host's end of the pair. */
  linkIndex?: number | undefined;
}

/** Removes what belongs to `undo`, as far as it is there. */
export function undoOne(holdings: Holdings, undo: Undo): void {
  const { name, host, namespace, attached, linkIndex } = holdings;
  switch (undo) {
    case "end-processes":
      if (namespace !== undefined) endProcesses(fstatSync(namespace.fd.number).ino);
      return;
    case "remove-resolv-conf":
      removeResolvConf(name);
      return;
    case "delete-link":
      if (linkIndex !== undefined) deleteLinkIfThere(host, linkIndex);
      holdings.linkIndex = undefined;
      return;
    case "delete-namespace":
      if (attached) detachNamespace(name);
      holdings.attached = false;
  }
}

function deleteLinkIfThere(host: RtnetlinkSocket, index: number): void {
  try {
    host.request(deleteLink(index));
  } catch (error) {
    // It goes with its other end, and that with the namespace.
    if (!isErrno(error, "ENODEV")) throw error;
  }
}

/** Undefined where there is no link of that name. */
export function tryGetLink(socket: RtnetlinkSocket, name: string): Link | undefined {
  try {
    return parseLink(socket.get(getLink(name)));
  } catch (error) {
    if (isErrno(error, "ENODEV")) return undefined;
    throw error;
  }
}

/** Whether two links, each in a namespace of its own, are the ends of one veth pair. */
export function isPair(one: Link, other: Link): boolean {
  if (one.kind !== "veth" || other.kind !== "veth") return false;
  return one.peerIndex === other.index && other.peerIndex === one.index;
}
