/**
 * The messages of rtnetlink(7) that create, move and change links, each with the command of ip(8)
 * that does the same. Pure.
 *
 * @see the kernel's include/uapi/linux/if_link.h, veth.h
 */
import {
  attribute,
  NLM_F_ACK,
  NLM_F_CREATE,
  NLM_F_EXCL,
  NLM_F_REQUEST,
  nestedAttribute,
  stringAttribute,
  u8Attribute,
  u16Attribute,
  u32Attribute,
} from "./message.ts";
import {
  IFLA_ADDRESS,
  IFLA_BR_VLAN_FILTERING,
  IFLA_IFNAME,
  IFLA_INFO_DATA,
  IFLA_INFO_KIND,
  IFLA_LINK,
  IFLA_LINKINFO,
  IFLA_MASTER,
  IFLA_MTU,
  IFLA_NET_NS_FD,
  IFLA_TXQLEN,
  interfaceMessage,
  RTM_NEWLINK,
  type RtnetlinkRequest,
} from "./rtnetlink.ts";

const IFLA_NUM_TX_QUEUES = 31;
const IFLA_NUM_RX_QUEUES = 32;
const IFLA_GSO_MAX_SEGS = 40;
const IFLA_GSO_MAX_SIZE = 41;
const IFLA_GRO_MAX_SIZE = 58;
const VETH_INFO_PEER = 1;
const IFLA_MACVLAN_MODE = 1;
const IFLA_IPVLAN_MODE = 1;
const IFLA_IPVLAN_FLAGS = 2;
const IFLA_VLAN_ID = 1;

/** The values of IFLA_MACVLAN_MODE. */
export const macvlanModes = { private: 1, vepa: 2, bridge: 4, passthru: 8, source: 16 } as const;
/** The values of IFLA_IPVLAN_MODE. */
export const ipvlanModes = { l2: 0, l3: 1, l3s: 2 } as const;

/** The queues and offloads of a link. @see ip-link(8) */
export interface LinkTuning {
  /** The number of packets that may wait to be sent. */
  readonly txQueueLength?: number | undefined;
  /** The number of transmit queues; set only when the link is created, like `rxQueues`. */
  readonly txQueues?: number | undefined;
  readonly rxQueues?: number | undefined;
  readonly gsoMaxSegments?: number | undefined;
  readonly gsoMaxBytes?: number | undefined;
  readonly groMaxBytes?: number | undefined;
}

/** A link to be created. */
export interface NewLink extends LinkTuning {
  readonly name: string;
  readonly mtuBytes?: number | undefined;
  /** The hardware address, 6 bytes. */
  readonly mac?: Buffer | undefined;
  /** The index of the bridge of which it becomes a port. */
  readonly masterIndex?: number | undefined;
}

const numbers: readonly [keyof NewLink, number][] = [
  ["txQueueLength", IFLA_TXQLEN],
  ["mtuBytes", IFLA_MTU],
  ["masterIndex", IFLA_MASTER],
  ["txQueues", IFLA_NUM_TX_QUEUES],
  ["rxQueues", IFLA_NUM_RX_QUEUES],
  ["gsoMaxBytes", IFLA_GSO_MAX_SIZE],
  ["gsoMaxSegments", IFLA_GSO_MAX_SEGS],
  ["groMaxBytes", IFLA_GRO_MAX_SIZE],
];

function settings(link: Partial<NewLink>): Buffer[] {
  const found: Buffer[] = [];
  for (const [key, type] of numbers) {
    const value = link[key];
    if (typeof value === "number") found.push(u32Attribute(type, value));
  }
  if (link.mac !== undefined) found.push(attribute(IFLA_ADDRESS, link.mac));
  return found;
}

function linkInfo(kind: string, ...data: Buffer[]): Buffer {
  return nestedAttribute(
    IFLA_LINKINFO,
    attribute(IFLA_INFO_KIND, Buffer.from(kind)),
    ...(data.length === 0 ? [] : [nestedAttribute(IFLA_INFO_DATA, ...data)]),
  );
}

const CREATE = NLM_F_REQUEST | NLM_F_ACK | NLM_F_EXCL | NLM_F_CREATE;

function create(link: NewLink, kind: string, place: Buffer[], ...data: Buffer[]): RtnetlinkRequest {
  const payload = Buffer.concat([
    interfaceMessage(0),
    ...settings(link),
    ...place,
    stringAttribute(IFLA_IFNAME, link.name),
    linkInfo(kind, ...data),
  ]);
  const args = { name: link.name, kind };
  return { name: "RTM_NEWLINK", args, type: RTM_NEWLINK, flags: CREATE, payload };
}

/**
 * Returns the request for `ip link add name HOST type veth peer name PEER netns NAMESPACE`:
 * creates two links, with the peer inside the namespace of `peerNetnsFd`.
 */
export function newVethPair(host: NewLink, peer: NewLink, peerNetnsFd: number): RtnetlinkRequest {
  const far = nestedAttribute(
    VETH_INFO_PEER,
    interfaceMessage(0),
    ...settings(peer),
    u32Attribute(IFLA_NET_NS_FD, peerNetnsFd),
    stringAttribute(IFLA_IFNAME, peer.name),
  );
  const request = create(host, "veth", [], far);
  return { ...request, args: { ...request.args, peer: peer.name } };
}

/** The kinds of link that are based on another link. */
export type StackedKind =
  | { readonly kind: "macvlan"; readonly mode: keyof typeof macvlanModes }
  | { readonly kind: "ipvlan"; readonly mode: keyof typeof ipvlanModes }
  | { readonly kind: "vlan"; readonly id: number };

function stackedData(stacked: StackedKind): Buffer {
  switch (stacked.kind) {
    case "macvlan":
      return u32Attribute(IFLA_MACVLAN_MODE, macvlanModes[stacked.mode]);
    case "ipvlan":
      return Buffer.concat([
        u16Attribute(IFLA_IPVLAN_MODE, ipvlanModes[stacked.mode]),
        u16Attribute(IFLA_IPVLAN_FLAGS, 0),
      ]);
    case "vlan":
      return u16Attribute(IFLA_VLAN_ID, stacked.id);
  }
}

/**
 * Returns the request for `ip link add link PARENT name NAME [netns NAMESPACE] type KIND ...`.
 * @param netnsFd the namespace in which the link is created; undefined for the parent's namespace
 */
export function newStackedLink(
  parentIndex: number,
  link: NewLink,
  stacked: StackedKind,
  netnsFd?: number,
): RtnetlinkRequest {
  const place = netnsFd === undefined ? [] : [u32Attribute(IFLA_NET_NS_FD, netnsFd)];
  place.push(u32Attribute(IFLA_LINK, parentIndex));
  return create(link, stacked.kind, place, stackedData(stacked));
}

/** Returns the request for `ip link add name NAME type bridge [vlan_filtering 1]`. */
export function newBridge(name: string, vlanFiltering: boolean): RtnetlinkRequest {
  const data = vlanFiltering ? [u8Attribute(IFLA_BR_VLAN_FILTERING, 1)] : [];
  return create({ name }, "bridge", [], ...data);
}

/**
 * Returns the request for `ip link set dev LINK netns NAMESPACE name NAME`. The link is down
 * afterwards.
 */
export function moveLink(index: number, name: string, netnsFd: number): RtnetlinkRequest {
  const payload = Buffer.concat([
    interfaceMessage(index),
    u32Attribute(IFLA_NET_NS_FD, netnsFd),
    stringAttribute(IFLA_IFNAME, name),
  ]);
  const flags = NLM_F_REQUEST | NLM_F_ACK;
  return { name: "RTM_NEWLINK", args: { index, name }, type: RTM_NEWLINK, flags, payload };
}

/** Returns the request for `ip link set dev LINK mtu BYTES address MAC txqueuelen PACKETS ...`. */
export function changeLink(
  index: number,
  change: Omit<NewLink, "name" | "txQueues" | "rxQueues">,
): RtnetlinkRequest {
  const payload = Buffer.concat([interfaceMessage(index), ...settings(change)]);
  const { mac: _, ...args } = change;
  const flags = NLM_F_REQUEST | NLM_F_ACK;
  return { name: "RTM_NEWLINK", args: { index, ...args }, type: RTM_NEWLINK, flags, payload };
}
