/**
 * The messages of rtnetlink(7) about links, each with the command of ip(8) that does
 * the same, and what the kernel answers; rtnetlink-ip.ts has addresses and routes.
 * Pure.
 *
 * @see the kernel's include/uapi/linux/rtnetlink.h, if_link.h, veth.h
 */
import { ByteReader, ByteWriter } from "../bytes.ts";
import type { CallArguments } from "../errors.ts";
import {
  attribute,
  NetlinkFormatError,
  NLM_F_ACK,
  NLM_F_CREATE,
  NLM_F_DUMP,
  NLM_F_EXCL,
  NLM_F_REQUEST,
  nestedAttribute,
  parseAttributes,
  parseString,
  parseU32,
  stringAttribute,
  u32Attribute,
} from "./message.ts";

const RTM_NEWLINK = 16;
const RTM_DELLINK = 17;
const RTM_GETLINK = 18;

const IFLA_ADDRESS = 1;
const IFLA_IFNAME = 3;
const IFLA_MTU = 4;
const IFLA_LINK = 5;
const IFLA_OPERSTATE = 16;
const IFLA_LINKINFO = 18;
const IFLA_NET_NS_FD = 28;
const IFLA_EXT_MASK = 29;
const IFLA_INFO_KIND = 1;
const IFLA_INFO_DATA = 2;
const VETH_INFO_PEER = 1;
/** Leave out the statistics, which make most of a link's message. */
const RTEXT_FILTER_SKIP_STATS = 8;

export const IFF_UP = 0x1;

/** What a request asks for, and what an error about it says. */
export interface RtnetlinkRequest {
  /** Such as `RTM_NEWLINK`. */
  readonly name: string;
  readonly args: CallArguments;
  readonly type: number;
  /** NLM_F_... */
  readonly flags: number;
  readonly payload: Buffer;
}

/**
 *     struct ifinfomsg   0 u8 family, 2 u16 device type, 4 i32 index, 8 u32 flags,
 *                        12 u32 which of the flags to change
 */
function interfaceMessage(index: number, flags = 0, change = 0): Buffer {
  return new ByteWriter(16).u32(0).i32(index).u32(flags).u32(change).finish();
}

/** One end of a pair of links. */
export interface VethEnd {
  readonly name: string;
  readonly mtuBytes?: number | undefined;
  /** 6 bytes. */
  readonly mac?: Buffer | undefined;
}

function endAttributes({ name, mtuBytes, mac }: VethEnd, place: Buffer[]): Buffer[] {
  const attributes: Buffer[] = [];
  if (mtuBytes !== undefined) attributes.push(u32Attribute(IFLA_MTU, mtuBytes));
  if (mac !== undefined) attributes.push(attribute(IFLA_ADDRESS, mac));
  return [...attributes, ...place, stringAttribute(IFLA_IFNAME, name)];
}

/**
 * `ip link add name HOST type veth peer name PEER netns NAMESPACE`: two links, the
 * peer born inside the namespace of `peerNetnsFd`.
 */
export function newVethPair(host: VethEnd, peer: VethEnd, peerNetnsFd: number): RtnetlinkRequest {
  const namespace = u32Attribute(IFLA_NET_NS_FD, peerNetnsFd);
  const payload = Buffer.concat([
    interfaceMessage(0),
    ...endAttributes(host, []),
    nestedAttribute(
      IFLA_LINKINFO,
      attribute(IFLA_INFO_KIND, Buffer.from("veth")),
      nestedAttribute(
        IFLA_INFO_DATA,
        nestedAttribute(VETH_INFO_PEER, interfaceMessage(0), ...endAttributes(peer, [namespace])),
      ),
    ),
  ]);
  const flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_EXCL | NLM_F_CREATE;
  const args = { name: host.name, kind: "veth", peer: peer.name };
  return { name: "RTM_NEWLINK", args, type: RTM_NEWLINK, flags, payload };
}

/** `ip link set dev LINK up` */
export function setLinkUp(index: number): RtnetlinkRequest {
  const payload = interfaceMessage(index, IFF_UP, IFF_UP);
  const flags = NLM_F_REQUEST | NLM_F_ACK;
  return { name: "RTM_NEWLINK", args: { index, flags: "up" }, type: RTM_NEWLINK, flags, payload };
}

/** `ip link delete dev LINK`; of a veth pair, both ends. */
export function deleteLink(index: number): RtnetlinkRequest {
  const flags = NLM_F_REQUEST | NLM_F_ACK;
  const payload = interfaceMessage(index);
  return { name: "RTM_DELLINK", args: { index }, type: RTM_DELLINK, flags, payload };
}

const skipStatistics = u32Attribute(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);

/** `ip link show dev NAME` */
export function getLink(name: string): RtnetlinkRequest {
  const payload = Buffer.concat([
    interfaceMessage(0),
    skipStatistics,
    stringAttribute(IFLA_IFNAME, name),
  ]);
  return { name: "RTM_GETLINK", args: { name }, type: RTM_GETLINK, flags: NLM_F_REQUEST, payload };
}

/** `ip link show` */
export function getLinks(): RtnetlinkRequest {
  const flags = NLM_F_REQUEST | NLM_F_DUMP;
  const payload = Buffer.concat([interfaceMessage(0), skipStatistics]);
  return { name: "RTM_GETLINK", args: {}, type: RTM_GETLINK, flags, payload };
}

/** A network interface. */
export interface Link {
  readonly index: number;
  readonly name: string;
  /** IFF_... */
  readonly flags: number;
  /** Such as `veth`; undefined of hardware and of `lo`. */
  readonly kind?: string;
  /** Of a veth, the other end's index in the namespace where that is. */
  readonly peerIndex?: number;
  readonly mtuBytes?: number;
  readonly mac?: string;
  /** RFC 2863's, such as `up` and `lowerlayerdown`. */
  readonly operState?: string;
}

/** IF_OPER_... of if.h, by number. */
const operStates = ["unknown", "notpresent", "down", "lowerlayerdown", "testing", "dormant", "up"];

/** The payload of RTM_NEWLINK. @throws NetlinkFormatError */
export function parseLink(payload: Buffer): Link {
  if (payload.length < 16) throw new NetlinkFormatError("truncated ifinfomsg", 0);
  const reader = new ByteReader(payload);
  reader.skip(4);
  const index = reader.i32();
  const flags = reader.u32();
  reader.skip(4);
  const attributes = parseAttributes(reader.bytes(reader.remaining));
  const info = attributes.get(IFLA_LINKINFO);
  const kind = info && parseAttributes(info).get(IFLA_INFO_KIND);
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
    ...(mtu === undefined ? {} : { mtuBytes: parseU32(mtu) }),
    ...(mac === undefined ? {} : { mac: formatMac(mac) }),
    ...(operState === undefined ? {} : { operState }),
  };
}

export function formatMac(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join(":");
}
