/**
 * Sockets, mostly those of AF_UNIX. Unless stated otherwise, a call that would have to wait
 * (EAGAIN) returns `undefined`, and every other failure throws SyscallError.
 * @see socket(2), unix(7), socket(7)
 */

import { ByteReader } from "./bytes.ts";
import {
  type ControlMessages,
  type Credentials,
  parseControl,
  SOL_SOCKET,
  writeRights,
} from "./cmsg.ts";
import { EAGAIN, EINTR } from "./errno.ts";
import { type CallArguments, check } from "./errors.ts";
import { Fd } from "./fd.ts";
import { readInto } from "./file.ts";
import { cheapCall, intFunction, longFunction } from "./libc.ts";
import { allocate, allocateNative, beginCall, copyIn, type NativeMemory } from "./memory.ts";
import { AF_UNIX, encodeUnixAddress } from "./socket-address.ts";

export const SOCK_STREAM = 1;
export const SOCK_DGRAM = 2;
export const SOCK_RAW = 3;
export const SOCK_SEQPACKET = 5;
export const SOCK_NONBLOCK = 0o4000;
export const SOCK_CLOEXEC = 0o2000000;

export const MSG_PEEK = 0x2;
export const MSG_CTRUNC = 0x8;
export const MSG_TRUNC = 0x20;
export const MSG_DONTWAIT = 0x40;
export const MSG_NOSIGNAL = 0x4000;
export const MSG_CMSG_CLOEXEC = 0x40000000;

export const SO_TYPE = 3;
export const SO_PASSCRED = 16;
export const SO_PEERCRED = 17;
export const SO_RCVTIMEO = 20;
export const SO_SNDTIMEO = 21;
export const SO_ACCEPTCONN = 30;
export const SO_PEERGROUPS = 59;
/** Since Linux 6.5. */
export const SO_PEERPIDFD = 77;

export const SHUT_RD = 0;
export const SHUT_WR = 1;
export const SHUT_RDWR = 2;

const libc = {
  socket: intFunction("socket", 3),
  socketpair: intFunction("socketpair", 4),
  bind: intFunction("bind", 3),
  listen: intFunction("listen", 2),
  accept4: intFunction("accept4", 4),
  connect: intFunction("connect", 3),
  shutdown: intFunction("shutdown", 2),
  getsockopt: intFunction("getsockopt", 5),
  setsockopt: intFunction("setsockopt", 5),
  send: longFunction("send", 4),
  recv: longFunction("recv", 4),
  sendmsg: longFunction("sendmsg", 3),
  recvmsg: longFunction("recvmsg", 3),
};
const cheapReceive = cheapCall("recvfrom", 4);

/**
 * Opens a socket, close-on-exec. The caller closes it.
 * @param flags SOCK_NONBLOCK or 0
 * @see socket(2)
 */
export function socket(domain: number, type: number, protocol = 0, flags = 0): Fd {
  const fd = libc.socket(domain, type | SOCK_CLOEXEC | flags, protocol);
  return new Fd(check(fd, "socket", { domain, type, protocol }));
}

/** Opens two connected sockets, close-on-exec. The caller closes them. @see socketpair(2) */
export function socketpair(type: number, flags = 0): [Fd, Fd] {
  beginCall();
  const pair = allocate(8);
  const result = libc.socketpair(AF_UNIX, type | SOCK_CLOEXEC | flags, 0, pair.address);
  check(result, "socketpair", { type });
  const reader = new ByteReader(pair.bytes);
  return [new Fd(reader.i32()), new Fd(reader.i32())];
}

/** Binds an AF_UNIX socket. @param address a path, or `@NAME` for an abstract one @see bind(2) */
export function bindUnix(fd: number, address: string): void {
  const bytes = encodeUnixAddress(address);
  beginCall();
  check(libc.bind(fd, copyIn(bytes), bytes.length), "bind", { address });
}

/** Listens for connections. @param backlog limited by net.core.somaxconn @see listen(2) */
export function listen(fd: number, backlog: number): void {
  check(libc.listen(fd, backlog), "listen", { fd, backlog });
}

/** Accepts a connection, close-on-exec. @param flags SOCK_NONBLOCK or 0 @see accept4(2) */
export function accept(fd: number, flags = 0): Fd | undefined {
  const result = libc.accept4(fd, 0, 0, SOCK_CLOEXEC | flags);
  if (result === -EAGAIN) return undefined;
  return new Fd(check(result, "accept4", { fd }));
}

/**
 * Connects an AF_UNIX socket.
 * @param address a path, or `@NAME`
 * @throws SyscallError, also for EAGAIN
 * @see connect(2)
 */
export function connectUnix(fd: number, address: string): void {
  const bytes = encodeUnixAddress(address);
  connect(fd, bytes, { address });
}

/**
 * Connects to an encoded `struct sockaddr`.
 * @throws SyscallError, also for EAGAIN
 * @see connect(2)
 */
export function connect(fd: number, sockaddr: Buffer, args: CallArguments): void {
  beginCall();
  const address = copyIn(sockaddr);
  let result: number;
  do result = libc.connect(fd, address, sockaddr.length);
  while (result === -EINTR);
  check(result, "connect", args);
}

/** Shuts down one or both directions. @param how SHUT_RD, SHUT_WR or SHUT_RDWR @see shutdown(2) */
export function shutdown(fd: number, how: number): void {
  check(libc.shutdown(fd, how), "shutdown", { fd, how });
}

/**
 * Returns the value of a socket option. If it is a pidfd, the caller owns the descriptor.
 * @see getsockopt(2)
 */
export function getSocketOption(fd: number, level: number, option: number, bytes: number): Buffer {
  beginCall();
  const value = allocate(bytes);
  const length = allocate(4);
  length.bytes.writeUInt32LE(bytes);
  const result = libc.getsockopt(fd, level, option, value.address, length.address);
  check(result, "getsockopt", { fd, level, option });
  return Buffer.from(value.bytes.subarray(0, length.bytes.readUInt32LE()));
}

/** Returns the value of an option of type `int` at level SOL_SOCKET. @see socket(7) */
export function getIntOption(fd: number, option: number): number {
  return readSmallOption(fd, option, 4).readInt32LE(8);
}

/** Sets a socket option. @throws SyscallError @see setsockopt(2) */
export function setSocketOption(fd: number, level: number, option: number, value: Buffer): void {
  beginCall();
  const result = libc.setsockopt(fd, level, option, copyIn(value), value.length);
  check(result, "setsockopt", { fd, level, option });
}

/** Sets an option of type `int`. @throws SyscallError @see setsockopt(2) */
export function setIntOption(fd: number, level: number, option: number, value: number): void {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value);
  setSocketOption(fd, level, option, bytes);
}

/** Sets SO_RCVTIMEO or SO_SNDTIMEO, the time after which blocking calls fail with EAGAIN. */
export function setTimeoutOption(fd: number, option: number, timeoutMs: number): void {
  const timeval = Buffer.alloc(16);
  timeval.writeBigInt64LE(BigInt(Math.floor(timeoutMs / 1000)), 0);
  timeval.writeBigInt64LE(BigInt(Math.round((timeoutMs % 1000) * 1000)), 8);
  setSocketOption(fd, SOL_SOCKET, option, timeval);
}

/** Returns the credentials of the peer at the time of connect(2). @see unix(7) SO_PEERCRED */
export function peerCredentials(fd: number): Credentials {
  const bytes = readSmallOption(fd, SO_PEERCRED, 12);
  return { pid: bytes.readInt32LE(8), uid: bytes.readUInt32LE(12), gid: bytes.readUInt32LE(16) };
}

/**
 * Memory for readSmallOption: the length at 0, the value at 8. It is kept, because options are
 * read for every client.
 */
let smallOption: NativeMemory | undefined;

/** @returns memory that is valid until the next call, with the value at 8 */
function readSmallOption(fd: number, option: number, lengthBytes: number): Buffer {
  smallOption ??= allocateNative(8 + 16);
  const { bytes, address } = smallOption;
  bytes.writeUInt32LE(lengthBytes, 0);
  const result = libc.getsockopt(fd, SOL_SOCKET, option, address + 8, address);
  check(result, "getsockopt", { fd, level: SOL_SOCKET, option });
  return bytes;
}

/**
 * Returns the supplementary groups of the peer.
 * @throws SyscallError ERANGE: the peer has more than 1,024 of them
 * @see unix(7) SO_PEERGROUPS
 */
export function peerGroups(fd: number): number[] {
  const reader = new ByteReader(getSocketOption(fd, SOL_SOCKET, SO_PEERGROUPS, 4096));
  const groups: number[] = [];
  while (reader.remaining > 0) groups.push(reader.u32());
  return groups;
}

/**
 * Sends `bytes`. Returns the number of bytes sent, or undefined if the call would have to wait.
 * @see send(2)
 */
export function send(fd: number, bytes: Uint8Array, flags = 0): number | undefined {
  beginCall();
  const address = copyIn(bytes);
  let result: number;
  // A signal interrupts a call that waits and has not sent anything yet.
  do result = libc.send(fd, address, bytes.length, flags | MSG_NOSIGNAL);
  while (result === -EINTR);
  if (result === -EAGAIN) return undefined;
  return check(result, "send", { fd, bytes: bytes.length });
}

/**
 * Reads the next bytes into `memory`, like read(2) but without the overhead of the file layer.
 * There is no room for control messages, so the kernel closes descriptors that were sent along.
 * @returns the number of bytes, or a negated errno
 * @see recv(2)
 */
export function receiveInto(fd: number, memory: NativeMemory): number {
  if (cheapReceive === undefined) return readInto(fd, memory);
  return cheapReceive(fd, memory.address, memory.bytes.length, 0);
}

/** Memory for receiving and sending messages. It has one owner, and is reused for every message. */
export class MessageBuffer {
  readonly data: NativeMemory;
  readonly control: NativeMemory;
  readonly #header: NativeMemory;
  readonly #controlBytes: number;

  /** @param controlBytes 0 for messages whose descriptors must never be received */
  constructor(dataBytes: number, controlBytes: number) {
    this.data = allocateNative(dataBytes);
    this.control = allocateNative(Math.max(controlBytes, 8));
    // `struct iovec` at 0, `struct msghdr` at 16.
    this.#header = allocateNative(16 + 56);
    const header = this.#header.bytes;
    header.writeBigUInt64LE(BigInt(this.data.address), 0);
    header.writeBigUInt64LE(BigInt(this.#header.address), 16 + 16); // msg_iov
    header.writeBigUInt64LE(1n, 16 + 24); // msg_iovlen
    header.writeBigUInt64LE(BigInt(this.control.address), 16 + 32); // msg_control
    this.#controlBytes = controlBytes;
  }

  /** Prepares the header for `dataBytes` of data and `controlBytes` of control messages. */
  #prepare(dataBytes: number, controlBytes: number): number {
    const header = this.#header.bytes;
    // The upper halves of the 64-bit fields stay 0.
    header.writeUInt32LE(dataBytes, 8); // iov_len
    header.writeUInt32LE(controlBytes, 16 + 40); // msg_controllen
    header.writeInt32LE(0, 16 + 48); // msg_flags
    return this.#header.address + 16;
  }

  /**
   * Receives one message. The caller owns the descriptors in it. Returns undefined if no message
   * has arrived yet. If the peer of a seqpacket socket has closed its end, the message is empty.
   * @see recvmsg(2)
   */
  receive(fd: number, flags = 0): ReceivedMessage | undefined {
    const header = this.#prepare(this.data.bytes.length, this.#controlBytes);
    let result: number;
    // A signal interrupts a call that waits with a timeout (SO_RCVTIMEO).
    do result = libc.recvmsg(fd, header, flags | MSG_CMSG_CLOEXEC);
    while (result === -EINTR);
    if (result === -EAGAIN) return undefined;
    const length = check(result, "recvmsg", { fd });
    const controlLength = this.#header.bytes.readUInt32LE(16 + 40);
    return {
      data: this.data.bytes.subarray(0, Math.min(length, this.data.bytes.length)),
      flags: this.#header.bytes.readInt32LE(16 + 48),
      ...parseControl(this.control.bytes.subarray(0, controlLength)),
    };
  }

  /**
   * Receives one message like `receive`, but makes no object for it.
   * @returns the flags of the message (MSG_TRUNC, MSG_CTRUNC), or a negated errno;
   *   `controlLength` is afterwards the number of bytes that the kernel wrote to `control`
   */
  receiveFlags(fd: number, flags: number): number {
    const header = this.#prepare(this.data.bytes.length, this.#controlBytes);
    const result = libc.recvmsg(fd, header, flags | MSG_CMSG_CLOEXEC);
    return result < 0 ? result : this.#header.bytes.readInt32LE(16 + 48);
  }

  /** Returns the length of the control messages of the last message. */
  get controlLength(): number {
    return this.#header.bytes.readUInt32LE(16 + 40);
  }

  /**
   * Sends one message with control messages made by encodeRights. Returns undefined if the call
   * would have to wait.
   * @see sendmsg(2)
   */
  send(fd: number, data: Uint8Array, control: Uint8Array, flags = 0): number | undefined {
    if (data.length > this.data.bytes.length || control.length > this.control.bytes.length)
      throw new RangeError("the message is larger than its buffer");
    this.data.bytes.set(data);
    this.control.bytes.set(control);
    const result = this.#send(fd, data.length, control.length, flags);
    if (result === -EAGAIN) return undefined;
    return check(result, "sendmsg", { fd, bytes: data.length });
  }

  /**
   * Sends one message with descriptors, without making an object for it.
   * @returns the number of bytes, or a negated errno
   */
  sendRights(fd: number, data: Uint8Array, fds: readonly number[], flags = 0): number {
    if (data.length > this.data.bytes.length) throw new RangeError("the data is too large");
    this.data.bytes.set(data);
    return this.#send(fd, data.length, writeRights(this.control.bytes, fds), flags);
  }

  #send(fd: number, dataBytes: number, controlBytes: number, flags: number): number {
    const header = this.#prepare(dataBytes, controlBytes);
    let result: number;
    // A signal interrupts a call that waits with a timeout (SO_SNDTIMEO).
    do result = libc.sendmsg(fd, header, flags | MSG_NOSIGNAL);
    while (result === -EINTR);
    return result;
  }
}

/** A received message; `data` is valid until the buffer is used again. */
export interface ReceivedMessage extends ControlMessages {
  readonly data: Buffer;
  /** MSG_TRUNC, MSG_CTRUNC */
  readonly flags: number;
}
