/** What there is of a namespace that may be removed, and how its links are found. */
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
  /** In the host's network namespace. */
  readonly host: RtnetlinkSocket;
  namespace?: NetworkNamespace | undefined;
  /** Whether the name below /run/netns is ours, with a namespace or half of one. */
  attached: boolean;
  /** Whether `namespace` is one that we made, so that all in it is ours. */
  ours: boolean;
  /** By their names inside. */
  readonly links: Map<string, RecordedLink>;
  settings: readonly ChangedSetting[];
  /** Records what is left of it. */
  save?: (() => void) | undefined;
  /** The descriptor by which the name is locked. */
  lock?: number | undefined;
}

function ifThere(get: () => Buffer): Link | undefined {
  try {
    return parseLink(get());
  } catch (error) {
    if (isErrno(error, "ENODEV")) return undefined;
    throw error;
  }
}

/** Undefined where there is no link of that name. */
export function tryGetLink(socket: RtnetlinkSocket, name: string): Link | undefined {
  return ifThere(() => socket.get(getLink(name)));
}

/** Returns the link with this index; undefined if there is none. */
export function tryGetLinkByIndex(socket: RtnetlinkSocket, index: number): Link | undefined {
  return ifThere(() => socket.get(getLinkByIndex(index)));
}

/** Whether two links, each in a namespace of its own, are the ends of one veth pair. */
export function isPair(one: Link, other: Link): boolean {
  if (one.kind !== "veth" || other.kind !== "veth") return false;
  return one.peerIndex === other.index && other.peerIndex === one.index;
}
