import {
  EAGAIN,
  ECONNRESET,
  ENOTCONN,
  EPIPE,
  EPOLLHUP,
  EPOLLIN,
  EPOLLRDHUP,
  Fd,
  MSG_DONTWAIT,
  receiveInto,
  SHUT_RD,
  SHUT_RDWR,
  SHUT_WR,
  SyscallError,
  shutdown,
} from "@cm4all/linux";
import { isSystemError } from "../errors.ts";
import type { Shared } from "./shared.ts";

/** The maximum number of datagrams that are thrown away before a connection is closed. */
const DISCARD_LIMIT = 4096;

/**
 * The same limit for an untrusted peer; if more datagrams are left, the disposal (disposal.ts)
 * closes the socket. A peer that has made one request has sent one datagram, so its socket is
 * closed immediately. Discarding two datagrams costs about as much as one socket's share of a run
 * of the disposal; such a run holds up other clients for a millisecond.
 */
const UNTRUSTED_DISCARD_LIMIT = 2;

/** The errnos of sendmsg(2) if the peer is gone, or does not read. */
const UNREACHABLE: readonly number[] = [EAGAIN, EPIPE, ECONNRESET, ENOTCONN];

/** Receives the events of a connection. Calls are never nested. */
export interface ConnectionOwner {
  /**
   * True if the peer is a stranger (see `Client` in requests/clients.ts), which has to wait until
   * other clients have been served.
   */
  readonly isStranger: boolean;
  /**
   * Called before the connection is watched. The owner may take the socket with
   * `Connection.release`, and watch it itself.
   */
  fellSilent(): void;
  /**
   * Returns true if a message must be inspected before it is taken, because it may carry
   * descriptors.
   */
  readonly isWary: () => boolean;
  /**
   * Called when something has arrived, before anything is read.
   * @returns false if the owner has closed the connection instead
   */
  mayReceive(): boolean;
  /**
   * Called for each datagram. Descriptors that were sent with it never enter the process.
   * @param bytes the start of a buffer that all connections share, valid until the call returns
   * @param length the length of the datagram; greater than the length of `bytes` if it did not fit
   */
  received(bytes: Buffer, length: number): void;
  /**
   * Called for a message that carries descriptors from a peer that may not send any. The owner
   * closes the connection without reading the message.
   */
  refuseDescriptors(): void;
  /** Called after the connection was closed because the peer is gone or a system call failed. */
  hungUp(): void;
}

/**
 * What has become of a new connection: it has an owner; or it `waits`, because its peer is a
 * stranger, and its socket belongs to the waiting room (requests/waiting-room.ts); or it was
 * `closed`, because the budget of strangers (requests/stranger-budget.ts) is used up.
 */
export type Accepted<Owner = ConnectionOwner> = Owner | "waits" | "closed";

/** A client's connection: sends and receives datagrams, and closes the socket, which it owns. */
export class Connection {
  readonly #socket: Fd;
  /** The listening socket that the connection was accepted from. */
  readonly listenerFd: number;
  readonly #shared: Shared;
  #owner: ConnectionOwner | undefined;
  #watchToken: number | undefined;

  /** @param socket ownership passes to the connection */
  constructor(socket: Fd, listenerFd: number, shared: Shared) {
    this.#socket = socket;
    this.listenerFd = listenerFd;
    this.#shared = shared;
  }

  /**
   * Calls `owner` for everything that arrives from now on.
   * @param atOnce whether to look now for a message that has already arrived: on a busy loop
   *   that is earlier and cheaper than waiting for its event
   */
  serve(owner: ConnectionOwner, atOnce: boolean): void {
    if (!this.isOpen) return;
    this.#owner = owner;
    try {
      if (atOnce) this.#lookAndTake(owner);
      if (this.isOpen) owner.fellSilent();
      if (this.isOpen) this.#startWatch(owner);
    } catch (error) {
      this.#failed(error, owner);
    }
  }

  #startWatch(owner: ConnectionOwner): void {
    this.#watchToken = this.#shared.loop.watch(this.fd, EPOLLIN | EPOLLRDHUP, (events) => {
      try {
        this.#receive(events, owner);
      } catch (error) {
        this.#failed(error, owner);
      }
    });
  }

  /**
   * Gives up ownership of the socket and returns its descriptor. This object then has no socket.
   * @throws SyscallError; the connection is then unchanged
   */
  release(): number {
    this.#forget(this.fd);
    return this.#socket.release();
  }

  /** Returns the socket's descriptor, for reading socket options. */
  get fd(): number {
    return this.#socket.number;
  }

  get isOpen(): boolean {
    return this.#socket.isOpen;
  }

  /**
   * Sends one datagram.
   * @returns false if the peer is gone or does not read (EAGAIN); the call never waits
   */
  send(bytes: Uint8Array, fds: readonly number[]): boolean {
    if (!this.isOpen) return false;
    const result = this.#shared.output.sendRights(this.fd, bytes, fds, MSG_DONTWAIT);
    if (result >= 0) return true;
    if (UNREACHABLE.includes(-result)) return false;
    throw new SyscallError("sendmsg", -result, { fd: this.fd, bytes: bytes.length });
  }

  /**
   * Closes the connection; a second call has no effect. Datagrams that have already arrived are
   * first read and thrown away, up to a limit: closing a socket with unread data would make the
   * peer's next read fail with ECONNRESET, before it gets the last answer.
   */
  close(): void {
    if (!this.isOpen) return;
    shutdown(this.fd, SHUT_RDWR);
    this.#discard(DISCARD_LIMIT, true);
    this.#closeSocket();
  }

  /**
   * Closes the connection of an untrusted peer. Descriptors that the peer has sent may take very
   * long to close (SO_LINGER). If any have arrived, or more than a few datagrams, the disposal
   * closes the socket later, and no client waits for that. Until then, nothing more is read: a peer
   * that keeps sending fills the socket buffer, and then has to wait.
   */
  closeUnread(): void {
    if (!this.isOpen) return;
    if (this.#discard(UNTRUSTED_DISCARD_LIMIT, false)) {
      // More may have arrived just now; after the shutdown, nothing can.
      shutdown(this.fd, SHUT_RDWR);
      if (this.#discard(UNTRUSTED_DISCARD_LIMIT, false)) {
        this.#closeSocket();
        return;
      }
    }
    this.#dispose(SHUT_WR);
  }

  /** Closes the connection without reading what the peer has sent. */
  abandon(): void {
    if (this.isOpen) this.#dispose(SHUT_RDWR);
  }

  /** @param how the directions to shut down now; the disposal closes the socket later */
  #dispose(how: number): void {
    try {
      shutdown(this.fd, how);
      this.#shared.disposal.add(new Fd(this.release()));
    } catch (error) {
      // The kernel has refused to end the connection or the watch; closing the socket ends both.
      if (!isSystemError(error)) throw error;
      this.#shared.onError(error);
      this.#closeSocket();
    }
  }

  /** Stops receiving. Messages that have already arrived stay in the socket. @see shutdown(2) */
  stopReceiving(): void {
    const owner = this.#owner;
    if (owner === undefined) return;
    try {
      shutdown(this.fd, SHUT_RD);
    } catch (error) {
      this.#failed(error, owner);
    }
  }

  /**
   * After `stopReceiving`: passes the messages that have already arrived to the owner, and closes
   * the connection.
   */
  finish(): void {
    const owner = this.#owner;
    if (owner === undefined) return;
    try {
      while (this.isOpen && this.#lookAndTake(owner));
      if (this.isOpen) this.#hangUp(owner);
    } catch (error) {
      this.#failed(error, owner);
    }
  }

  /** Closes the connection after a system call on it has failed. */
  #failed(error: unknown, owner: ConnectionOwner): void {
    if (!isSystemError(error)) throw error;
    this.#shared.onError(error);
    this.abandon();
    owner.hungUp();
  }

  /**
   * Takes the next message, or closes the connection if the peer is gone.
   * @returns whether there was a message
   */
  #lookAndTake(owner: ConnectionOwner): boolean {
    const next = this.#shared.probe.look(this.fd);
    if (next === "nothing") return false;
    if (next === "end") {
      this.#hangUp(owner);
      return false;
    }
    if (!owner.mayReceive()) return true;
    if (next === "descriptors" && owner.isWary()) owner.refuseDescriptors();
    else this.#take(owner, false);
    return true;
  }

  #receive(events: number, owner: ConnectionOwner): void {
    if (owner.isWary()) this.#lookAndTake(owner);
    else if (owner.mayReceive()) this.#take(owner, (events & (EPOLLRDHUP | EPOLLHUP)) !== 0);
  }

  /**
   * @param mayBeGone true if a length of 0 means the end of the connection, not an empty datagram
   */
  #take(owner: ConnectionOwner, mayBeGone: boolean): void {
    // There is no room for control messages: the kernel drops descriptors.
    const length = receiveInto(this.fd, this.#shared.input);
    if (length === -EAGAIN) return;
    // ECONNRESET: the peer closed its socket without reading our answer. Whatever the error is,
    // nothing more can be received.
    if (length < 0 || (length === 0 && mayBeGone)) this.#hangUp(owner);
    else owner.received(this.#shared.input.bytes, length);
  }

  /** Closes the connection after everything that the peer sent has been read. */
  #hangUp(owner: ConnectionOwner): void {
    this.#closeSocket();
    owner.hungUp();
  }

  #closeSocket(): void {
    // Closing the socket ends the watch.
    this.#forget(undefined);
    this.#socket.close();
  }

  /** @param watched the socket; undefined if the caller closes it right afterwards */
  #forget(watched: number | undefined): void {
    if (this.#watchToken !== undefined) this.#shared.loop.forget(this.#watchToken, watched);
    this.#watchToken = undefined;
    this.#owner = undefined;
  }

  /**
   * Throws away datagrams that have arrived.
   * @param descriptors whether messages with descriptors may be discarded here
   * @returns true if nothing is left
   */
  #discard(limit: number, descriptors: boolean): boolean {
    for (let i = 0; i < limit; i++) {
      const next = this.#shared.probe.look(this.fd);
      if (next === "nothing" || next === "end") return true;
      if (next === "descriptors" && !descriptors) return false;
      receiveInto(this.fd, this.#shared.input);
    }
    return false;
  }
}
