/**
 * What the namespace service needs of an event loop: an interface, so that another
 * engine can join epoll. An engine owns the connections' descriptors.
 */
import type { Timer } from "../thread/event-loop.ts";

/** What an engine tells the service. Calls are never nested. */
export interface EngineHandler {
  /** A client has connected. */
  accepted(connection: Connection): void;
  /**
   * Something has arrived. Asked before anything is read.
   * @returns false where the handler has closed the connection instead
   */
  mayReceive(connection: Connection): boolean;
  /**
   * A datagram has arrived. Descriptors sent along never enter the process.
   * @param bytes the start of the engine's buffer, valid until the call returns
   * @param length of the datagram; more than `bytes` holds where it did not fit
   */
  received(connection: Connection, bytes: Buffer, length: number): void;
  /** The peer is gone; the engine has closed the connection. */
  hungUp(connection: Connection): void;
}

/** A client's connection. */
export interface Connection {
  /** The socket, for reading its options. */
  readonly fd: number;
  readonly isOpen: boolean;
  /**
   * Sends one datagram. Gives false where the peer is gone or does not read (EAGAIN);
   * nobody waits for such a peer.
   */
  send(bytes: Uint8Array, fds: readonly number[]): boolean;
  /**
   * Closes the connection; without effect the second time. What has come already is
   * thrown away, within a bound, so that the peer gets what was sent to it last.
   */
  close(): void;
  /**
   * Lets nothing more come, hands what has come already to `handler`, and closes the
   * connection.
   */
  finish(handler: EngineHandler): void;
  /**
   * Closes the connection of a peer that nobody trusts. It may have sent descriptors
   * that take for ever to close (SO_LINGER), so those are closed where nobody waits.
   */
  closeUnread(): void;
}

export interface Engine {
  /** Starts to accept from a listening socket, which its owner closes. */
  listen(listenerFd: number, handler: EngineHandler): void;
  /** Takes over a connection that was accepted earlier. */
  adopt(connectionFd: number, handler: EngineHandler): void;
  /** Accepts no more. */
  stopListening(): void;
  /** Calls `hungUp` when a pipe has lost its writers (0) or a process has ended (EPOLLIN). */
  watch(fd: number, events: number, hungUp: () => void): Watch;
  /** Calls `run` once, in `delayMs` milliseconds or a little later. */
  after(delayMs: number, run: () => void): Timer;
}

export interface Watch {
  /** Ends the watch; to be called before the descriptor is closed. */
  end(): void;
}
