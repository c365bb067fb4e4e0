import { readSync } from "node:fs";
import {
  countQueuedDescriptors,
  EPOLLHUP,
  EPOLLIN,
  EPOLLRDHUP,
  encodeRights,
  type Fd,
  isErrno,
  type MessageBuffer,
  MSG_CTRUNC,
  MSG_DONTWAIT,
  MSG_PEEK,
  SHUT_RD,
  SHUT_RDWR,
  shutdown,
} from "@cm4all/linux";
import type { EventLoop } from "../../thread/event-loop.ts";
import type { Disposal } from "./disposal.ts";

/** How many datagrams are thrown away before a connection is closed. */
const DISCARD_LIMIT = 4096;

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
  readonly input: Buffer;
  readonly output: MessageBuffer;
  /** Has no room for anything: tells whether there is a message at all. */
  readonly probe: MessageBuffer;
}

/** A client's connection: datagrams, and how it ends. It owns its socket. */
export class Connection {
  readonly #socket: Fd;
  readonly #shared: Shared;
  #served: { readonly owner: ConnectionOwner; readonly token: number } | undefined;

  /** @param socket owned from then on */
  constructor(socket: Fd, shared: Shared) {
    this.#socket = socket;
    this.#shared = shared;
  }

  /** Tells `owner` of what arrives from now on. */
  serve(owner: ConnectionOwner): void {
    if (!this.isOpen) return;
    const token = this.#shared.loop.watch(this.fd, EPOLLIN | EPOLLRDHUP, (events) =>
      this.#receive(events, owner),
    );
    this.#served = { owner, token };
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
    try {
      return (
        this.#shared.output.send(this.fd, bytes, encodeRights(fds), MSG_DONTWAIT) !== undefined
      );
    } catch (error) {
      if (isErrno(error, "EPIPE", "ECONNRESET", "ENOTCONN")) return false;
      throw error;
    }
  }

  /**
   * Closes the connection; without effect the second time. What has come already is
   * thrown away, within a bound, so that the peer gets what was sent to it last.
   */
  close(): void {
    if (!this.#end()) return;
    this.#discard();
    this.#socket.close();
  }

  /**
   * Closes the connection of a peer that nobody trusts. It may have sent descriptors
   * that take for ever to close (SO_LINGER), so those are closed where nobody waits.
   */
  closeUnread(): void {
    if (!this.#end()) return;
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
    const owner = this.#served?.owner;
    if (!this.isOpen || owner === undefined) return;
    if (this.#hasDatagram()) {
      if (!owner.mayReceive()) return;
      for (let length = this.#tryReadNext(); length !== undefined; length = this.#tryReadNext()) {
        owner.received(this.#shared.input, length);
        if (!this.isOpen) return;
      }
    }
    this.#hangUp(owner);
  }

  #receive(events: number, owner: ConnectionOwner): void {
    if (!owner.mayReceive()) return;
    const { input } = this.#shared;
    let length = 0;
    if ((events & EPOLLIN) !== 0) {
      try {
        // read(2) has no room for control messages: the kernel drops descriptors.
        length = readSync(this.fd, input);
      } catch (error) {
        if (isErrno(error, "EAGAIN")) return;
        // ECONNRESET: the peer closed without having read our answer.
        length = 0;
        events |= EPOLLHUP;
      }
    }
    // Nothing to read is either an empty datagram or the end.
    if (length === 0 && (events & (EPOLLRDHUP | EPOLLHUP)) !== 0) this.#hangUp(owner);
    else owner.received(input, length);
  }

  /** Closes the connection after everything that the peer has sent was read. */
  #hangUp(owner: ConnectionOwner): void {
    this.#forget();
    this.#socket.close();
    owner.hungUp();
  }

  /** Lets nothing more come. @returns false if that was done already */
  #end(): boolean {
    if (!this.isOpen) return false;
    this.#forget();
    shutdown(this.fd, SHUT_RDWR);
    return true;
  }

  #forget(): void {
    if (this.#served !== undefined) this.#shared.loop.forget(this.#served.token, this.fd);
    this.#served = undefined;
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
    try {
      const length = readSync(this.fd, this.#shared.input);
      return length > 0 || this.#hasDatagram() ? length : undefined;
    } catch (error) {
      // The peer has closed without having read an answer.
      if (isErrno(error, "ECONNRESET")) return undefined;
      throw error;
    }
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
