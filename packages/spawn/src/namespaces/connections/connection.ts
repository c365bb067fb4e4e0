import {
  countQueuedDescriptors,
  EAGAIN,
  ECONNRESET,
  ENOTCONN,
  EPIPE,
  EPOLLHUP,
  EPOLLIN,
  EPOLLRDHUP,
  type Fd,
  isErrno,
  type MessageBuffer,
  MSG_CTRUNC,
  MSG_DONTWAIT,
  MSG_PEEK,
  type NativeMemory,
  readInto,
  SHUT_RD,
  SHUT_RDWR,
  SyscallError,
  shutdown,
} from "@cm4all/linux";
import type { EventLoop } from "../../thread/event-loop.ts";
import type { Disposal } from "./disposal.ts";

/** How many datagrams are thrown away before a connection is closed. */
const DISCARD_LIMIT = 4096;

/** The peer is gone, or does not read. */
const UNREACHABLE: readonly number[] = [EAGAIN, EPIPE, ECONNRESET, ENOTCONN];

/** Who is told of a connection. Calls are never nested. */
export interface ConnectionOwner {
  /**
   * Something has arrived. Asked before anything is read.
   * @returns false if the owner has closed the connection instead
   */
  mayReceive(): boolean;
  /**
   * A datagram has arrived. Descriptors sent along never enter the process.
   * @param bytes the start of a buffer that all connections share, valid until the call returns
   * @param length of the datagram; more than `bytes` holds if it did not fit
   */
  received(bytes: Buffer, length: number): void;
  /** The peer is gone, and the connection is closed. */
  hungUp(): void;
}

/** What all connections share: all work is synchronous. */
export interface Shared {
  readonly loop: EventLoop;
  readonly disposal: Disposal;
  readonly input: NativeMemory;
  readonly output: MessageBuffer;
  /** Has no room for anything: tells whether there is a message at all. */
  readonly probe: MessageBuffer;
}

/** A client's connection: datagrams, and how it ends. It owns its socket. */
export class Connection {
  readonly #socket: Fd;
  readonly #shared: Shared;
  #owner: ConnectionOwner | undefined;
  #token = 0;

  /** @param socket owned from then on */
  constructor(socket: Fd, shared: Shared) {
    this.#socket = socket;
    this.#shared = shared;
  }

  /** Tells `owner` of what arrives from now on. */
  serve(owner: ConnectionOwner): void {
    if (!this.isOpen) return;
    this.#token = this.#shared.loop.watch(this.fd, EPOLLIN | EPOLLRDHUP, (events) =>
      this.#receive(events, owner),
    );
    this.#owner = owner;
  }

  /** The socket, for reading its options. */
  get fd(): number {
    return this.#socket.number;
  }

  get isOpen(): boolean {
    return this.#socket.isOpen;
  }

  /**
   * Sends one datagram.
   * @returns false if the peer is gone or does not read (EAGAIN): nobody waits for it
   */
  send(bytes: Uint8Array, fds: readonly number[]): boolean {
    if (!this.isOpen) return false;
    const result = this.#shared.output.sendRights(this.fd, bytes, fds, MSG_DONTWAIT);
    if (result >= 0) return true;
    if (UNREACHABLE.includes(-result)) return false;
    throw new SyscallError("sendmsg", -result, { fd: this.fd, bytes: bytes.length });
  }

  /**
   * Closes the connection; without effect the second time. What has come already is
   * thrown away, within a bound, so that the peer gets what was sent to it last.
   */
  close(): void {
    if (!this.#end(undefined)) return;
    this.#discard();
    this.#socket.close();
  }

  /**
   * Closes the connection of a peer that nobody trusts. It may have sent descriptors
   * that take for ever to close (SO_LINGER), so those are closed where nobody waits.
   */
  closeUnread(): void {
    if (!this.#end(this.fd)) return;
    if (countQueuedDescriptors(this.fd) === 0) {
      this.#discard();
      this.#socket.close();
    } else this.#shared.disposal.add(this.#socket);
  }

  /** Lets nothing more come. What has come already stays. @see shutdown(2) */
  stopReceiving(): void {
    if (this.isOpen) shutdown(this.fd, SHUT_RD);
  }

  /** Hands what has come to the owner, after `stopReceiving`, and closes the connection. */
  finish(): void {
    const owner = this.#owner;
    if (!this.isOpen || owner === undefined) return;
    if (this.#hasDatagram()) {
      if (!owner.mayReceive()) return;
      for (let length = this.#tryReadNext(); length !== undefined; length = this.#tryReadNext()) {
        owner.received(this.#shared.input.bytes, length);
        if (!this.isOpen) return;
      }
    }
    this.#hangUp(owner);
  }

  #receive(events: number, owner: ConnectionOwner): void {
    if (!owner.mayReceive()) return;
    const { input } = this.#shared;
    let length = 0;
    let isGone = (events & (EPOLLRDHUP | EPOLLHUP)) !== 0;
    if ((events & EPOLLIN) !== 0) {
      // read(2) has no room for control messages: the kernel drops descriptors.
      length = readInto(this.fd, input);
      if (length === -EAGAIN) return;
      // ECONNRESET: the peer closed without having read our answer. Whatever else it is,
      // there is nothing more to be had of it.
      if (length < 0) {
        length = 0;
        isGone = true;
      }
    }
    // Nothing to read is either an empty datagram or the end.
    if (length === 0 && isGone) this.#hangUp(owner);
    else owner.received(input.bytes, length);
  }

  /** Closes the connection after everything that the peer has sent was read. */
  #hangUp(owner: ConnectionOwner): void {
    this.#forget(undefined);
    this.#socket.close();
    owner.hungUp();
  }

  /**
   * Lets nothing more come.
   * @param watched the socket, unless it is closed at once
   * @returns false if that was done already
   */
  #end(watched: number | undefined): boolean {
    if (!this.isOpen) return false;
    this.#forget(watched);
    shutdown(this.fd, SHUT_RDWR);
    return true;
  }

  #forget(watched: number | undefined): void {
    if (this.#owner !== undefined) this.#shared.loop.forget(this.#token, watched);
    this.#owner = undefined;
  }

  /**
   * Throws away what came before #end: closing with unread data would give the peer
   * ECONNRESET before it sees our last answer.
   */
  #discard(): void {
    for (let i = 0; i < DISCARD_LIMIT; i++) if (this.#tryReadNext() === undefined) return;
  }

  /** Reads a datagram once no more can come. @returns its length; undefined at the end */
  #tryReadNext(): number | undefined {
    const length = readInto(this.fd, this.#shared.input);
    // The peer has closed without having read an answer.
    if (length === -ECONNRESET) return undefined;
    if (length < 0) throw new SyscallError("read", -length, { fd: this.fd });
    return length > 0 || this.#hasDatagram() ? length : undefined;
  }

  /**
   * To read(2) an empty datagram looks like the end; to recvmsg(2) it has credentials
   * (SO_PASSCRED), for which there is no room.
   */
  #hasDatagram(): boolean {
    try {
      const message = this.#shared.probe.receive(this.fd, MSG_DONTWAIT | MSG_PEEK);
      return message !== undefined && (message.flags & MSG_CTRUNC) !== 0;
    } catch (error) {
      if (isErrno(error, "ECONNRESET")) return false;
      throw error;
    }
  }
}
