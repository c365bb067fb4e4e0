/**
 * The messages of rtnetlink(7) for addresses and routes, each with the command of ip(8) that does
 * the same, and the kernel's answers. Pure.
 *
 * @see the kernel's include/uapi/linux/rtnetlink.h, if_addr.h
 */
import { ByteReader, ByteWriter } from "../bytes.ts";
import { AF_INET, AF_INET6, formatIpAddress, type IpAddress, type IpPrefix } from "./ip-address.ts";
import {
  attribute,
  NetlinkFormatError,
  NLM_F_ACK,
  NLM_F_CREATE,
  NLM_F_DUMP,
  NLM_F_EXCL,
  NLM_F_REQUEST,
  parseAttributes,
  parseU32,
  u32Attribute,
} from "./message.ts";
import type { RtnetlinkRequest } from "./rtnetlink.ts";

const RTM_NEWADDR = 20;
const RTM_GETADDR = 22;
const RTM_NEWROUTE = 24;
const RTM_GETROUTE = 26;

const IFA_ADDRESS = 1;
const IFA_LOCAL = 2;
const IFA_FLAGS = 8;

const RTA_DST = 1;
const RTA_OIF = 4;
const RTA_GATEWAY = 5;
const RTA_PRIORITY = 6;

const RT_TABLE_MAIN = 254;
const RTPROT_STATIC = 4;
const RT_SCOPE_UNIVERSE = 0;
const RT_SCOPE_LINK = 253;
const RTN_UNICAST = 1;
const RTNH_F_ONLINK = 4;

/** Switches off duplicate address detection, so that the address can be used immediately. */
export const IFA_F_NODAD = 0x02;
export const IFA_F_DADFAILED = 0x08;
export const IFA_F_TENTATIVE = 0x40;

/**
 * Returns the request for `ip address add ADDRESS/LENGTH dev LINK [nodad]`.
 *
 *     struct ifaddrmsg   0 u8 family, 1 u8 prefix length, 2 u8 flags, 3 u8 scope,
 *                        4 u32 index
 *
 * @param flags IFA_F_...
 */
export function newAddress(index: number, prefix: IpPrefix, flags = 0): RtnetlinkRequest {
  const { address, prefixLength } = prefix;
  const header = new ByteWriter(8).u8(address.family).u8(prefixLength).u8(flags).u8(0).u32(index);
  const payload = Buffer.concat([
    header.finish(),
    attribute(IFA_LOCAL, address.bytes),
    attribute(IFA_ADDRESS, address.bytes),
  ]);
  const args = { index, address: `${formatIpAddress(address)}/${prefixLength}` };
  const requestFlags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_EXCL | NLM_F_CREATE;
  return { name: "RTM_NEWADDR", args, type: RTM_NEWADDR, flags: requestFlags, payload };
}

/** Returns the request for `ip address show`. */
export function getAddresses(): RtnetlinkRequest {
  const flags = NLM_F_REQUEST | NLM_F_DUMP;
  return {
    name: "RTM_GETADDR",
    args: {},
    type: RTM_GETADDR,
    flags,
    payload: new ByteWriter(8).zeros(8).finish(),
  };
}

export interface Route {
  /** The destination; a prefix of length 0 for a default route. */
  readonly destination: IpPrefix;
  /** The gateway; undefined if the destination is on the link itself. */
  readonly gateway?: IpAddress | undefined;
  readonly metric?: number | undefined;
  /** True to accept the gateway as a neighbour although it is in no network of the link. */
  readonly onlink?: boolean | undefined;
}

/**
 * Returns the request for `ip route add DESTINATION [via GATEWAY] dev LINK [metric METRIC]
 * [onlink] proto static`.
 *
 *     struct rtmsg   0 u8 family, 1 u8 destination's length, 2 u8 source's length,
 *                    3 u8 tos, 4 u8 table, 5 u8 protocol, 6 u8 scope, 7 u8 type,
 *                    8 u32 flags
 */
export function newRoute(index: number, route: Route): RtnetlinkRequest {
  const { destination, gateway, metric, onlink } = route;
  const { address, prefixLength } = destination;
  const onLink = gateway === undefined && address.family === AF_INET;
  const parts = [
    new ByteWriter(12)
      .u8(address.family)
      .u8(prefixLength)
      .u8(0)
      .u8(0)
      .u8(RT_TABLE_MAIN)
      .u8(RTPROT_STATIC)
      .u8(onLink ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE)
      .u8(RTN_UNICAST)
      .u32(onlink === true ? RTNH_F_ONLINK : 0)
      .finish(),
  ];
  if (prefixLength > 0) parts.push(attribute(RTA_DST, address.bytes));
  if (gateway !== undefined) parts.push(attribute(RTA_GATEWAY, gateway.bytes));
  if (metric !== undefined) parts.push(u32Attribute(RTA_PRIORITY, metric));
  parts.push(u32Attribute(RTA_OIF, index));
  const args = {
    index,
    to: `${formatIpAddress(address)}/${prefixLength}`,
    via: gateway && formatIpAddress(gateway),
    metric,
  };
  const flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_EXCL | NLM_F_CREATE;
  return { name: "RTM_NEWROUTE", args, type: RTM_NEWROUTE, flags, payload: Buffer.concat(parts) };
}

/** An address of a network interface, as the kernel reports it. */
export interface LinkAddress {
  readonly linkIndex: number;
  readonly prefix: IpPrefix;
  /** IFA_F_... */
  readonly flags: number;
}

/**
 * Parses the payload of RTM_NEWADDR; undefined unless it is about IPv4 or IPv6.
 * @throws NetlinkFormatError
 */
export function parseLinkAddress(payload: Buffer): LinkAddress | undefined {
  if (payload.length < 8) throw new NetlinkFormatError("truncated ifaddrmsg", 0);
  const reader = new ByteReader(payload);
  const family = reader.u8();
  const prefixLength = reader.u8();
  const shortFlags = reader.u8();
  reader.skip(1);
  const linkIndex = reader.u32();
  const attributes = parseAttributes(reader.bytes(reader.remaining));
  const flags = attributes.get(IFA_FLAGS);
  // On a point-to-point link, IFA_ADDRESS is the address of the peer.
  const bytes = attributes.get(IFA_LOCAL) ?? attributes.get(IFA_ADDRESS);
  if (family !== AF_INET && family !== AF_INET6) return undefined;
  if (bytes?.length !== (family === AF_INET ? 4 : 16))
    throw new NetlinkFormatError("an address of the wrong length", 8);
  return {
    linkIndex,
    prefix: { address: { family, bytes }, prefixLength },
    flags: flags === undefined ? shortFlags : parseU32(flags),
  };
}

/** Returns the request for `ip route show table all`, for one family. */
export function getRoutes(family: IpAddress["family"]): RtnetlinkRequest {
  const payload = new ByteWriter(12).u8(family).zeros(11).finish();
  const flags = NLM_F_REQUEST | NLM_F_DUMP;
  return { name: "RTM_GETROUTE", args: { family }, type: RTM_GETROUTE, flags, payload };
}

/** A route of the kernel, in any table. */
export interface KnownRoute {
  readonly destination: IpPrefix;
  /** The link; undefined if the route has several next hops, or none. */
  readonly linkIndex?: number;
  /** The metric; 0 if none was set. */
  readonly metric: number;
}

/**
 * Parses the payload of RTM_NEWROUTE; undefined unless it is about IPv4 or IPv6.
 * @throws NetlinkFormatError
 */
export function parseRoute(payload: Buffer): KnownRoute | undefined {
  if (payload.length < 12) throw new NetlinkFormatError("truncated rtmsg", 0);
  const reader = new ByteReader(payload);
  const family = reader.u8();
  const prefixLength = reader.u8();
  reader.skip(10);
  if (family !== AF_INET && family !== AF_INET6) return undefined;
  const attributes = parseAttributes(reader.bytes(reader.remaining));
  const addressBytes = family === AF_INET ? 4 : 16;
  const bytes = attributes.get(RTA_DST) ?? Buffer.alloc(addressBytes);
  if (bytes.length !== addressBytes)
    throw new NetlinkFormatError("an address of the wrong length", 12);
  const link = attributes.get(RTA_OIF);
  const metric = attributes.get(RTA_PRIORITY);
  return {
    destination: { address: { family, bytes: Buffer.from(bytes) }, prefixLength },
    ...(link === undefined ? {} : { linkIndex: parseU32(link) }),
    metric: metric === undefined ? 0 : parseU32(metric),
  };
}
