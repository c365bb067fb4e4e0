/**
 * The messages of rtnetlink(7) for existing links, each with the command of ip(8) that does the
 * same, and the kernel's answers. rtnetlink-create.ts creates links, rtnetlink-bridge.ts sets up
 * ports of bridges, rtnetlink-ip.ts has addresses and routes. Pure.
 *
 * @see the kernel's include/uapi/linux/rtnetlink.h, if_link.h
 */
import { ByteReader, ByteWriter } from "../bytes.ts";
import type { CallArguments } from "../errors.ts";
import {
  NetlinkFormatError,
  NLM_F_ACK,
  NLM_F_DUMP,
  NLM_F_REQUEST,
  parseAttributes,
  parseString,
  parseU16,
  parseU32,
  stringAttribute,
  u32Attribute,
} from "./message.ts";

export const RTM_NEWLINK = 16;
export const RTM_DELLINK = 17;
const RTM_GETLINK = 18;

export const IFLA_ADDRESS = 1;
export const IFLA_IFNAME = 3;
export const IFLA_MTU = 4;
export const IFLA_LINK = 5;
export const IFLA_MASTER = 10;
export const IFLA_TXQLEN = 13;
const IFLA_OPERSTATE = 16;
export const IFLA_LINKINFO = 18;
export const IFLA_NET_NS_FD = 28;
const IFLA_EXT_MASK = 29;
const IFLA_LINK_NETNSID = 37;
export const IFLA_INFO_KIND = 1;
export const IFLA_INFO_DATA = 2;
export const IFLA_BR_VLAN_FILTERING = 7;
const IFLA_BR_VLAN_DEFAULT_PVID = 39;
/** Leaves out the statistics, which are most of a link's message. */
const RTEXT_FILTER_SKIP_STATS = 8;

const AF_UNSPEC = 0;

export const IFF_UP = 0x1;

/** A request, with its description for an error message. */
export interface RtnetlinkRequest {
  /** The name of the message type, such as `RTM_NEWLINK`. */
  readonly name: string;
  readonly args: CallArguments;
  readonly type: number;
  /** NLM_F_... */
  readonly flags: number;
  readonly payload: Buffer;
}

/**
 * Returns the header of a message about a link.
 *
 *     struct ifinfomsg   0 u8 family, 2 u16 device type, 4 i32 index, 8 u32 flags,
 *                        12 u32 which of the flags to change
 */
export function interfaceMessage(
  index: number,
  flags = 0,
  change = 0,
  family: number = AF_UNSPEC,
): Buffer {
  return new ByteWriter(16).u32(family).i32(index).u32(flags).u32(change).finish();
}

/** Returns the request for `ip link set dev LINK up`. */
export function setLinkUp(index: number): RtnetlinkRequest {
  const payload = interfaceMessage(index, IFF_UP, IFF_UP);
  const flags = NLM_F_REQUEST | NLM_F_ACK;
  return { name: "RTM_NEWLINK", args: { index, flags: "up" }, type: RTM_NEWLINK, flags, payload };
}

/** Returns the request for `ip link delete dev LINK`; deletes both ends of a veth pair. */
export function deleteLink(index: number): RtnetlinkRequest {
  const flags = NLM_F_REQUEST | NLM_F_ACK;
  const payload = interfaceMessage(index);
  return { name: "RTM_DELLINK", args: { index }, type: RTM_DELLINK, flags, payload };
}

const skipStatistics = u32Attribute(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);

/** Returns the request for `ip link show dev NAME`. */
export function getLink(name: string): RtnetlinkRequest {
  const payload = Buffer.concat([
    interfaceMessage(0),
    skipStatistics,
    stringAttribute(IFLA_IFNAME, name),
  ]);
  return { name: "RTM_GETLINK", args: { name }, type: RTM_GETLINK, flags: NLM_F_REQUEST, payload };
}

/** Returns the request for `ip link show`, for the link with this index. */
export function getLinkByIndex(index: number): RtnetlinkRequest {
  const payload = Buffer.concat([interfaceMessage(index), skipStatistics]);
  return { name: "RTM_GETLINK", args: { index }, type: RTM_GETLINK, flags: NLM_F_REQUEST, payload };
}

/** Returns the request for `ip link show`. */
export function getLinks(): RtnetlinkRequest {
  const flags = NLM_F_REQUEST | NLM_F_DUMP;
  const payload = Buffer.concat([interfaceMessage(0), skipStatistics]);
  return { name: "RTM_GETLINK", args: {}, type: RTM_GETLINK, flags, payload };
}

export interface BridgeSettings {
  /** True if the bridge looks at VLAN ids at all. */
  readonly vlanFiltering: boolean;
  /** The VLAN of a new port; 0 for none. */
  readonly defaultPvid: number;
}

/** A network interface. */
export interface Link {
  readonly index: number;
  readonly name: string;
  /** IFF_... */
  readonly flags: number;
  /** The kind, such as `veth`; undefined for hardware and for `lo`. */
  readonly kind?: string;
  /**
   * For a veth, the index of the other end in that end's namespace; for a VLAN, macvlan or ipvlan,
   * the index of its parent.
   */
  readonly peerIndex?: number;
  /** The id that the peer's namespace has in this namespace; undefined if they are the same. */
  readonly peerNetnsId?: number;
  /** The index of the bridge or bond of which it is a port. */
  readonly masterIndex?: number;
  /** The settings, if it is a bridge. */
  readonly bridge?: BridgeSettings;
  readonly txQueueLength?: number;
  readonly mtuBytes?: number;
  readonly mac?: string;
  /** The state of RFC 2863, such as `up` or `lowerlayerdown`. */
  readonly operState?: string;
}

/** The states IF_OPER_... of if.h, by number. */
const operStates = ["unknown", "notpresent", "down", "lowerlayerdown", "testing", "dormant", "up"];

/** Parses the payload of RTM_NEWLINK. @throws NetlinkFormatError */
export function parseLink(payload: Buffer): Link {
  if (payload.length < 16) throw new NetlinkFormatError("truncated ifinfomsg", 0);
  const reader = new ByteReader(payload);
  reader.skip(4);
  const index = reader.i32();
  const flags = reader.u32();
  reader.skip(4);
  const attributes = parseAttributes(reader.bytes(reader.remaining));
  const info = attributes.get(IFLA_LINKINFO);
  const infos = info && parseAttributes(info);
  const kind = infos?.get(IFLA_INFO_KIND);
  const data = infos?.get(IFLA_INFO_DATA);
  const isBridge = kind !== undefined && parseString(kind) === "bridge";
  const netnsId = attributes.get(IFLA_LINK_NETNSID);
  const master = attributes.get(IFLA_MASTER);
  const queue = attributes.get(IFLA_TXQLEN);
  const peer = attributes.get(IFLA_LINK);
  const mtu = attributes.get(IFLA_MTU);
  const mac = attributes.get(IFLA_ADDRESS);
  const operState = operStates[attributes.get(IFLA_OPERSTATE)?.[0] ?? -1];
  return {
    index,
    name: parseString(attributes.get(IFLA_IFNAME) ?? Buffer.alloc(0)),
    flags,
    ...(kind === undefined ? {} : { kind: parseString(kind) }),
    ...(peer === undefined ? {} : { peerIndex: parseU32(peer) }),
    ...(netnsId === undefined ? {} : { peerNetnsId: parseU32(netnsId) }),
    ...(master === undefined ? {} : { masterIndex: parseU32(master) }),
    ...(isBridge && data !== undefined ? { bridge: parseBridge(data) } : {}),
    ...(queue === undefined ? {} : { txQueueLength: parseU32(queue) }),
    ...(mtu === undefined ? {} : { mtuBytes: parseU32(mtu) }),
    ...(mac === undefined ? {} : { mac: formatMac(mac) }),
    ...(operState === undefined ? {} : { operState }),
  };
}

function parseBridge(data: Buffer): BridgeSettings {
  const attributes = parseAttributes(data);
  return {
    vlanFiltering: attributes.get(IFLA_BR_VLAN_FILTERING)?.[0] === 1,
    defaultPvid: parseU16(attributes.get(IFLA_BR_VLAN_DEFAULT_PVID) ?? Buffer.alloc(2)),
  };
}

/** Returns a hardware address in the form of ip(8), such as `02:00:00:00:00:01`. */
export function formatMac(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join(":");
}

/** Returns the bytes of a hardware address in the form of `formatMac`. */
export function parseMac(text: string): Buffer {
  return Buffer.from(text.replaceAll(":", ""), "hex");
}
