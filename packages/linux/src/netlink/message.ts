/**
 * Netlink messages and their attributes. Pure. All integers are in the machine's byte order;
 * messages and attributes start at multiples of 4.
 *
 *     struct nlmsghdr   0 u32 length with this header, 4 u16 type, 6 u16 flags,
 *                       8 u32 sequence number, 12 u32 port
 *     struct nlattr     0 u16 length with this header and without padding, 2 u16 type
 *
 * @see netlink(7), the kernel's include/uapi/linux/netlink.h
 */
import { align, ByteReader, ByteWriter } from "../bytes.ts";

export const NLMSG_ERROR = 2;
export const NLMSG_DONE = 3;

export const NLM_F_REQUEST = 0x1;
export const NLM_F_ACK = 0x4;
/** In a dump: something changed meanwhile, so the dump may be inconsistent. */
export const NLM_F_DUMP_INTR = 0x10;
/** In an acknowledgement: it contains only the header of the request. */
export const NLM_F_CAPPED = 0x100;
/** In an acknowledgement: attributes follow. */
export const NLM_F_ACK_TLVS = 0x200;
/** In a request that creates an object: the object must not exist yet. */
export const NLM_F_EXCL = 0x200;
export const NLM_F_DUMP = 0x300;
/** In a request for an object: create it if it does not exist. */
export const NLM_F_CREATE = 0x400;

const NLMSGERR_ATTR_MSG = 1;
const NLMSGERR_ATTR_OFFS = 2;

const NLMSG_HEADER_BYTES = 16;
const NLA_HEADER_BYTES = 4;
const ALIGNMENT = 4;
/** The upper two bits of an attribute's type are flags: nested, and network byte order. */
const NLA_TYPE_MASK = 0x3fff;

export interface NetlinkMessage {
  readonly type: number;
  /** NLM_F_... */
  readonly flags: number;
  readonly sequence: number;
  readonly payload: Buffer;
}

/** Received bytes are not a netlink message, or are truncated. */
export class NetlinkFormatError extends Error {
  override readonly name = "NetlinkFormatError";
  /** The offset, in the parsed bytes, at which parsing failed. */
  readonly offset: number;

  constructor(problem: string, offset: number) {
    super(`netlink: ${problem} at byte ${offset}`);
    this.offset = offset;
  }
}

/** Encodes a message. Its port is 0: the kernel knows the port of the sending socket. */
export function encodeMessage({ type, flags, sequence, payload }: NetlinkMessage): Buffer {
  return new ByteWriter(NLMSG_HEADER_BYTES + payload.length)
    .u32(NLMSG_HEADER_BYTES + payload.length)
    .u16(type)
    .u16(flags)
    .u32(sequence)
    .u32(0)
    .bytes(payload)
    .finish();
}

/** Encodes an attribute, with its padding. */
export function attribute(type: number, value: Uint8Array): Buffer {
  return new ByteWriter(align(NLA_HEADER_BYTES + value.length, ALIGNMENT))
    .u16(NLA_HEADER_BYTES + value.length)
    .u16(type)
    .bytes(value)
    .alignTo(ALIGNMENT)
    .finish();
}

/** Encodes an attribute that is a 32-bit integer. */
export function u32Attribute(type: number, value: number): Buffer {
  return attribute(type, new ByteWriter(4).u32(value).finish());
}

/** Encodes an attribute that is a 16-bit integer. */
export function u16Attribute(type: number, value: number): Buffer {
  return attribute(type, new ByteWriter(2).u16(value).finish());
}

/** Encodes an attribute that is an 8-bit integer. */
export function u8Attribute(type: number, value: number): Buffer {
  return attribute(type, Buffer.from([value]));
}

/** Encodes an attribute that is a string, with its NUL. */
export function stringAttribute(type: number, text: string): Buffer {
  return attribute(type, Buffer.from(`${text}\0`));
}

/** Encodes an attribute that contains other attributes, with or without a structure before them. */
export function nestedAttribute(type: number, ...parts: Uint8Array[]): Buffer {
  return attribute(type, Buffer.concat(parts));
}

/** Parses all messages of a datagram. @throws NetlinkFormatError */
export function parseMessages(datagram: Uint8Array): NetlinkMessage[] {
  const reader = new ByteReader(datagram);
  const messages: NetlinkMessage[] = [];
  while (reader.remaining > 0) {
    const start = reader.offset;
    if (reader.remaining < NLMSG_HEADER_BYTES)
      throw new NetlinkFormatError("truncated message header", start);
    const length = reader.u32();
    const type = reader.u16();
    const flags = reader.u16();
    const sequence = reader.u32();
    reader.skip(4);
    if (length < NLMSG_HEADER_BYTES || length - NLMSG_HEADER_BYTES > reader.remaining)
      throw new NetlinkFormatError(`message of impossible length ${length}`, start);
    const payload = reader.bytes(length - NLMSG_HEADER_BYTES);
    messages.push({ type, flags, sequence, payload });
    reader.alignTo(ALIGNMENT);
  }
  return messages;
}

/**
 * Parses attributes into a map by type. If a type occurs twice, the last attribute counts.
 * @throws NetlinkFormatError
 */
export function parseAttributes(bytes: Uint8Array): Map<number, Buffer> {
  const reader = new ByteReader(bytes);
  const attributes = new Map<number, Buffer>();
  while (reader.remaining > 0) {
    const start = reader.offset;
    if (reader.remaining < NLA_HEADER_BYTES)
      throw new NetlinkFormatError("truncated attribute header", start);
    const length = reader.u16();
    const type = reader.u16() & NLA_TYPE_MASK;
    if (length < NLA_HEADER_BYTES || length - NLA_HEADER_BYTES > reader.remaining)
      throw new NetlinkFormatError(`attribute of impossible length ${length}`, start);
    attributes.set(type, reader.bytes(length - NLA_HEADER_BYTES));
    reader.alignTo(ALIGNMENT);
  }
  return attributes;
}

/** Parses the value of an attribute as a 32-bit integer. @throws NetlinkFormatError */
export function parseU32(value: Buffer): number {
  if (value.length !== 4) throw new NetlinkFormatError(`${value.length} bytes for a u32`, 0);
  return new ByteReader(value).u32();
}

/** Parses the value of an attribute as a 16-bit integer. @throws NetlinkFormatError */
export function parseU16(value: Buffer): number {
  if (value.length !== 2) throw new NetlinkFormatError(`${value.length} bytes for a u16`, 0);
  return new ByteReader(value).u16();
}

/** Parses the value of an attribute as text, up to its NUL. */
export function parseString(value: Buffer): string {
  const end = value.indexOf(0);
  return value.toString("utf8", 0, end < 0 ? value.length : end);
}

/** The contents of an NLMSG_ERROR message, which also reports success. */
export interface Acknowledgement {
  /** The errno, positive; 0 for success. */
  readonly errno: number;
  /** The kernel's message, if there is one. */
  readonly text?: string;
  /** The offset in the request of the attribute that the kernel refuses. */
  readonly attributeOffset?: number;
}

/**
 * Parses an acknowledgement, with the attributes that NETLINK_EXT_ACK adds.
 *
 *     0 i32 negated errno, 4 nlmsghdr of the request, 20 its payload unless
 *     NLM_F_CAPPED, then the attributes if NLM_F_ACK_TLVS
 *
 * @throws NetlinkFormatError
 */
export function parseAcknowledgement({ flags, payload }: NetlinkMessage): Acknowledgement {
  const reader = new ByteReader(payload);
  if (reader.remaining < 4 + NLMSG_HEADER_BYTES)
    throw new NetlinkFormatError("truncated acknowledgement", 0);
  const errno = 0 - reader.i32();
  if ((flags & NLM_F_ACK_TLVS) === 0) return { errno };
  const requestLength = reader.u32();
  reader.skip(NLMSG_HEADER_BYTES - 4);
  if ((flags & NLM_F_CAPPED) === 0) {
    const rest = align(requestLength - NLMSG_HEADER_BYTES, ALIGNMENT);
    if (rest < 0 || rest > reader.remaining)
      throw new NetlinkFormatError(`request of impossible length ${requestLength}`, 4);
    reader.skip(rest);
  }
  const attributes = parseAttributes(reader.bytes(reader.remaining));
  const text = attributes.get(NLMSGERR_ATTR_MSG);
  const offset = attributes.get(NLMSGERR_ATTR_OFFS);
  return {
    errno,
    ...(text === undefined ? {} : { text: parseString(text) }),
    ...(offset === undefined ? {} : { attributeOffset: parseU32(offset) }),
  };
}
