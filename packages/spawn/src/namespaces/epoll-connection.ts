import { readSync } from "node:fs";
import {
  countQueuedDescriptors,
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
import type { EventLoop } from "../thread/event-loop.ts";
import type { Disposal } from "./disposal.ts";
import type { Connection, EngineHandler } from "./engine.ts";

/** How many datagrams are thrown away before a connection is closed. */
const DISCARD_LIMIT = 4096;

/** What the connections of one engine share: all work is synchronous. */
export interface Shared {
  readonly loop: EventLoop;
  readonly disposal: Disposal;
  readonly input: Buffer;
  readonly output: MessageBuffer;
  /** Has no room for anything: tells whether there is a message at all. */
  readonly probe: MessageBuffer;
}

export class EpollConnection implements Connection {
  readonly #socket: Fd;
  readonly #shared: Shared;
  /** Of its watch. */
  token = 0;

  /** @param socket owned from then on */
  constructor(socket: Fd, shared: Shared) {
    this.#socket = socket;
    this.#shared = shared;
  }

  get fd(): number {
    return this.#socket.number;
  }

  get isOpen(): boolean {
    return this.#socket.isOpen;
  }

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

  close(): void {
    if (!this.#end()) return;
    this.#discard();
    this.#socket.close();
  }

  /** Closes it after everything that the peer has sent was read. */
  closeAtEnd(): void {
    if (!this.isOpen) return;
    this.#shared.loop.forget(this.token, this.fd);
    this.#socket.close();
  }

  closeUnread(): void {
    if (!this.#end()) return;
    if (countQueuedDescriptors(this.fd) === 0) {
      this.#discard();
      this.#socket.close();
    } else this.#shared.disposal.add(this.#socket);
  }

  /** Lets nothing more come. Gives false where that was done already. */
  #end(): boolean {
    if (!this.isOpen) return false;
    this.#shared.loop.forget(this.token, this.fd);
    shutdown(this.fd, SHUT_RDWR);
    return true;
  }

  finish(handler: EngineHandler): void {
    if (!this.isOpen) return;
    shutdown(this.fd, SHUT_RD);
    if (this.#hasDatagram()) {
      if (!handler.mayReceive(this)) return;
      for (let length = this.#readNext(); length !== undefined; length = this.#readNext()) {
        handler.received(this, this.#shared.input, length);
        if (!this.isOpen) return;
      }
    }
    this.closeAtEnd();
    handler.hungUp(this);
  }

  /**
   * Throws away what came before #end: closing with unread data would give the peer
   * ECONNRESET before it sees our last answer.
   */
  #discard(): void {
    for (let i = 0; i < DISCARD_LIMIT; i++) if (this.#readNext() === undefined) return;
  }

  /** Reads a datagram once no more can come. Gives its length; undefined at the end. */
  #readNext(): number | undefined {
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
