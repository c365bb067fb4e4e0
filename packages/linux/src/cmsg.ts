/** Control messages of recvmsg(2) and sendmsg(2). Pure. @see cmsg(3), unix(7) */
import { align, ByteReader } from "./bytes.ts";

export const SOL_SOCKET = 1;
export const SCM_RIGHTS = 1;
export const SCM_CREDENTIALS = 2;

/** The size of `struct cmsghdr`: u64 cmsg_len, i32 cmsg_level, i32 cmsg_type; 8-byte aligned. */
const CMSG_HEADER_BYTES = 16;
const CMSG_ALIGNMENT = 8;

/** The maximum number of descriptors in one message. */
export const SCM_MAX_FD = 253;

/**
 * Returns the space, in the control buffer, of a control message with a payload of `payloadBytes`,
 * as CMSG_SPACE does.
 */
export function controlSpace(payloadBytes: number): number {
  return CMSG_HEADER_BYTES + align(payloadBytes, CMSG_ALIGNMENT);
}

/** Returns a control buffer with one SCM_RIGHTS message, or an empty one if `fds` is empty. */
export function encodeRights(fds: readonly number[]): Buffer {
  if (fds.length > SCM_MAX_FD)
    throw new RangeError(`at most ${SCM_MAX_FD} descriptors fit into a message`);
  const control = Buffer.alloc(fds.length === 0 ? 0 : controlSpace(fds.length * 4));
  writeRights(control, fds);
  return control;
}

/**
 * Writes an SCM_RIGHTS message to the start of `control`, so that a buffer can be reused.
 * @returns its length; 0 if `fds` is empty
 * @throws RangeError if it does not fit
 */
export function writeRights(control: Buffer, fds: readonly number[]): number {
  if (fds.length === 0) return 0;
  const payloadBytes = fds.length * 4;
  const space = controlSpace(payloadBytes);
  if (space > control.length) throw new RangeError(`${fds.length} descriptors do not fit`);
  control.writeUInt32LE(CMSG_HEADER_BYTES + payloadBytes, 0);
  control.writeUInt32LE(0, 4);
  control.writeInt32LE(SOL_SOCKET, 8);
  control.writeInt32LE(SCM_RIGHTS, 12);
  let offset = CMSG_HEADER_BYTES;
  for (const fd of fds) offset = control.writeInt32LE(fd, offset);
  return space;
}

/**
 * The sender of a message, as the kernel saw it. The pid is 0 if the sender has none in
 * the receiver's PID namespace.
 */
export interface Credentials {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
}

/** The contents of the control messages of one received message. */
export interface ControlMessages {
  /** The received descriptors, which the receiver owns. */
  readonly fds: number[];
  readonly credentials: Credentials | undefined;
}

/**
 * Parses control messages.
 * @param control the part of the control buffer that the kernel has filled
 */
export function parseControl(control: Uint8Array): ControlMessages {
  const fds: number[] = [];
  let credentials: Credentials | undefined;
  const reader = new ByteReader(control);
  while (reader.remaining >= CMSG_HEADER_BYTES) {
    const length = Number(reader.u64());
    const level = reader.i32();
    const type = reader.i32();
    // A message that the kernel has truncated (MSG_CTRUNC) ends at the end of the buffer.
    const payloadLength = Math.min(length - CMSG_HEADER_BYTES, reader.remaining);
    if (payloadLength < 0) break;
    const payload = new ByteReader(reader.bytes(payloadLength));
    if (level === SOL_SOCKET && type === SCM_RIGHTS)
      while (payload.remaining >= 4) fds.push(payload.i32());
    else if (level === SOL_SOCKET && type === SCM_CREDENTIALS && payload.remaining >= 12)
      credentials = { pid: payload.i32(), uid: payload.u32(), gid: payload.u32() };
    reader.alignTo(CMSG_ALIGNMENT);
  }
  return { fds, credentials };
}
