/** What exists of a namespace and may be removed, and functions that find links. */
import {
  getLink,
  getLinkByIndex,
  isErrno,
  type Link,
  parseLink,
  type RtnetlinkSocket,
} from "@cm4all/linux";
import type { NetworkNamespace } from "./namespace.ts";
import type { ChangedSetting, RecordedLink } from "./record-text.ts";

export interface Holdings {
  readonly name: string;
  /** A socket of the host's network namespace. */
  readonly host: RtnetlinkSocket;
  namespace?: NetworkNamespace | undefined;
  /**
   * True if the name exists below /run/netns and may be removed. It is the name of a namespace, or
   * of a file on which nothing is mounted.
   */
  attached: boolean;
  /** True if we have made `namespace`, so that everything in it is ours. */
  ours: boolean;
  /** The links by their names inside. */
  readonly links: Map<string, RecordedLink>;
  settings: readonly ChangedSetting[];
  /** Rewrites the record with the present `settings`. */
  save?: (() => void) | undefined;
  /** Returns the descriptor that holds the lock of the name; the next `save` replaces it. */
  lock?: (() => number | undefined) | undefined;
}

function ifThere(get: () => Buffer): Link | undefined {
  try {
    return parseLink(get());
  } catch (error) {
    if (isErrno(error, "ENODEV")) return undefined;
    throw error;
  }
}

/** Returns the link with this name; undefined if there is none. */
export function tryGetLink(socket: RtnetlinkSocket, name: string): Link | undefined {
  return ifThere(() => socket.get(getLink(name)));
}

/** Returns the link with this index; undefined if there is none. */
export function tryGetLinkByIndex(socket: RtnetlinkSocket, index: number): Link | undefined {
  return ifThere(() => socket.get(getLinkByIndex(index)));
}

/** Returns true if two links, each in a namespace of its own, are the ends of a veth pair. */
export function isPair(one: Link, other: Link): boolean {
  if (one.kind !== "veth" || other.kind !== "veth") return false;
  return one.peerIndex === other.index && other.peerIndex === one.index;
}
