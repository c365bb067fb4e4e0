import {
  EAGAIN,
  ECONNRESET,
  ENOTCONN,
  EPIPE,
  EPOLLHUP,
  EPOLLIN,
  EPOLLRDHUP,
  Fd,
  type MessageBuffer,
  type MessageProbe,
  MSG_DONTWAIT,
  type NativeMemory,
  receiveInto,
  SHUT_RD,
  SHUT_RDWR,
  SHUT_WR,
  SyscallError,
  shutdown,
} from "@cm4all/linux";
import type { EventLoop } from "../../thread/event-loop.ts";
import { isSystemError } from "../errors.ts";
import type { Disposal } from "./disposal.ts";

/** How many datagrams are thrown away before a connection is closed. */
const DISCARD_LIMIT = 4096;

/**
 * The same of a peer that nobody trusts: more are left to the disposal. Who asks has sent one;
 * to close it here costs as much as its share of the disposal, which stops others for a
 * millisecond.
 */
const UNTRUSTED_DISCARD_LIMIT = 2;

/** The peer is gone, or does not read. */
const UNREACHABLE: readonly number[] = [EAGAIN, EPIPE, ECONNRESET, ENOTCONN];

/** Who is told of a connection. Calls are never nested. */
export interface ConnectionOwner {
  /** Whether others are served first. */
  readonly isStranger: boolean;
  /** Whether a message is looked at before it is taken: it may have descriptors. */
  readonly isWary: () => boolean;
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
  /** A message has descriptors, and its peer is none who may send some: to be closed unread. */
  refuseDescriptors(): void;
  /** The peer is gone, or the kernel has refused something, and the connection is closed. */
  hungUp(): void;
}

/** Where readiness is looked for. */
export type Watches = Pick<EventLoop, "watch" | "forget">;

/** What all connections share: all work is synchronous. */
export interface Shared {
  readonly loop: Watches;
  /** For strangers. */
  readonly sideLoop: Watches;
  readonly disposal: Disposal;
  readonly input: NativeMemory;
  readonly output: MessageBuffer;
  readonly probe: MessageProbe;
  /** Is told what the kernel has refused, which costs that connection. */
  readonly onError: (error: Error) => void;
}

/** A client's connection: datagrams, and how it ends. It owns its socket. */
export class Connection {
  readonly #socket: Fd;
  /** The listening socket that it was accepted from. */
  readonly listenerFd: number;
  readonly #shared: Shared;
  #owner: ConnectionOwner | undefined;
  #watch: { readonly loop: Watches; readonly token: number } | undefined;

  /** @param socket owned from then on */
  constructor(socket: Fd, listenerFd: number, shared: Shared) {
    this.#socket = socket;
    this.listenerFd = listenerFd;
    this.#shared = shared;
  }

  /**
   * Tells `owner` of what arrives from now on.
   * @param atOnce whether what has come already is looked for here: on a busy loop that is
   *   earlier and cheaper than its event
   */
  serve(owner: ConnectionOwner, atOnce: boolean): void {
    if (!this.isOpen) return;
    this.#owner = owner;
    try {
      if (atOnce) this.#lookAndTake(owner);
      if (this.isOpen) this.#startWatch(owner);
    } catch (error) {
      this.#failed(error, owner);
    }
  }

  #startWatch(owner: ConnectionOwner): void {
    const loop = owner.isStranger ? this.#shared.sideLoop : this.#shared.loop;
    const token = loop.watch(this.fd, EPOLLIN | EPOLLRDHUP, (events) => {
      try {
        this.#receive(events, owner);
      } catch (error) {
        this.#failed(error, owner);
      }
    });
    this.#watch = { loop, token };
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
   * thrown away, within a bound, so that the peer gets what was sent to it last: closing
   * with unread data would give it ECONNRESET before.
   */
  close(): void {
    if (!this.isOpen) return;
    shutdown(this.fd, SHUT_RDWR);
    this.#discard(DISCARD_LIMIT, true);
    this.#closeSocket();
  }

  /**
   * Closes the connection of a peer that nobody trusts. It may have sent descriptors
   * that take for ever to close (SO_LINGER), so those are closed where nobody waits. Until
   * then a peer that sends on and on waits itself, because its socket has no room.
   */
  closeUnread(): void {
    if (!this.isOpen) return;
    if (this.#discard(UNTRUSTED_DISCARD_LIMIT, false)) {
      // More may have come in this moment; then it can come no more.
      shutdown(this.fd, SHUT_RDWR);
      if (this.#discard(UNTRUSTED_DISCARD_LIMIT, false)) {
        this.#closeSocket();
        return;
      }
    } else shutdown(this.fd, SHUT_WR);
    this.#dispose();
  }

  /** Closes the connection without a look at what has come. */
  abandon(): void {
    if (!this.isOpen) return;
    shutdown(this.fd, SHUT_RDWR);
    this.#dispose();
  }

  #dispose(): void {
    this.#forget(this.fd);
    this.#shared.disposal.add(new Fd(this.#socket.release()));
  }

  /** Lets nothing more come. What has come already stays. @see shutdown(2) */
  stopReceiving(): void {
    if (this.isOpen) shutdown(this.fd, SHUT_RD);
  }

  /** Hands what has come to the owner, after `stopReceiving`, and closes the connection. */
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

  /** What the kernel refuses costs this connection, and no other. */
  #failed(error: unknown, owner: ConnectionOwner): void {
    if (!isSystemError(error)) throw error;
    this.#shared.onError(error);
    this.abandon();
    owner.hungUp();
  }

  /** Takes the next message, or knows that the peer is gone. @returns whether there was one */
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

  /** @param mayBeGone whether nothing to read is the end, and no empty datagram */
  #take(owner: ConnectionOwner, mayBeGone: boolean): void {
    // There is no room for control messages: the kernel drops descriptors.
    const length = receiveInto(this.fd, this.#shared.input);
    if (length === -EAGAIN) return;
    // ECONNRESET: the peer closed without having read our answer. Whatever else it is,
    // there is nothing more to be had of it.
    if (length < 0 || (length === 0 && mayBeGone)) this.#hangUp(owner);
    else owner.received(this.#shared.input.bytes, length);
  }

  /** Closes the connection after everything that the peer has sent was read. */
  #hangUp(owner: ConnectionOwner): void {
    this.#closeSocket();
    owner.hungUp();
  }

  #closeSocket(): void {
    // Closing it ends the watch.
    this.#forget(undefined);
    this.#socket.close();
  }

  /** @param watched the socket, unless it is closed at once */
  #forget(watched: number | undefined): void {
    this.#watch?.loop.forget(this.#watch.token, watched);
    this.#watch = undefined;
    this.#owner = undefined;
  }

  /**
   * Throws away what has come.
   * @param descriptors whether those may be closed here
   * @returns whether nothing is left
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
