import { readSync } from "node:fs";
import {
  accept,
  EPOLLHUP,
  EPOLLIN,
  EPOLLRDHUP,
  encodeRights,
  Fd,
  isErrno,
  MessageBuffer,
  MSG_DONTWAIT,
  SOCK_NONBLOCK,
} from "@cm4all/linux";
import {
  MAX_DATAGRAM_SIZE,
  MAX_ERROR_SIZE,
  MAX_RESPONSE_DESCRIPTORS,
} from "@cm4all/spawn-protocol";
import type { EventLoop, Timer } from "../thread/event-loop.ts";
import type { Connection, Engine, EngineHandler, Watch } from "./engine.ts";

/** How many connections one wake-up accepts before others get their turn. */
const ACCEPT_BATCH = 16;

/** How many datagrams of a connection are thrown away before it is closed. */
const DISCARD_LIMIT = 256;

/** How long accepting pauses when descriptors have run out, milliseconds. */
const ACCEPT_PAUSE_MS = 100;

/** The engine of epoll(7): one read, one answer, per readiness. */
export class EpollEngine implements Engine {
  readonly #loop: EventLoop;
  readonly #onError: (error: unknown) => void;
  // One byte more than allowed tells a datagram that is too large.
  readonly #input = Buffer.alloc(MAX_DATAGRAM_SIZE + 1);
  readonly #output = new MessageBuffer(MAX_ERROR_SIZE + 24, 16 + MAX_RESPONSE_DESCRIPTORS * 4);
  #listener: { token: number; fd: number } | undefined;

  /** @param onError is told of what hinders accepting */
  constructor(loop: EventLoop, onError: (error: unknown) => void) {
    this.#loop = loop;
    this.#onError = onError;
  }

  listen(fd: number, handler: EngineHandler): void {
    const token = this.#loop.watch(fd, EPOLLIN, () => this.#accept(fd, handler));
    this.#listener = { token, fd };
  }

  stopListening(): void {
    if (this.#listener === undefined) return;
    this.#loop.forget(this.#listener.token, this.#listener.fd);
    this.#listener = undefined;
  }

  #accept(listenerFd: number, handler: EngineHandler): void {
    for (let i = 0; i < ACCEPT_BATCH; i++) {
      let socket: Fd | undefined;
      try {
        socket = accept(listenerFd, SOCK_NONBLOCK);
      } catch (error) {
        // The peer gave up before we came to it.
        if (isErrno(error, "ECONNABORTED")) continue;
        // EMFILE and the like: the connection stays in the queue, and the listener
        // readable. A pause keeps that from taking all the time.
        this.#onError(error);
        this.#pauseListening(handler);
        return;
      }
      if (socket === undefined) return;
      this.adopt(socket.release(), handler);
    }
  }

  #pauseListening(handler: EngineHandler): void {
    const listener = this.#listener;
    if (listener === undefined) return;
    this.stopListening();
    this.#loop.after(ACCEPT_PAUSE_MS, () => this.listen(listener.fd, handler));
  }

  adopt(connectionFd: number, handler: EngineHandler): void {
    const socket = new Fd(connectionFd);
    const connection = new EpollConnection(socket, this.#loop, this.#input, this.#output);
    const token = this.#loop.watch(socket.number, EPOLLIN | EPOLLRDHUP, (events) => {
      this.#receive(connection, events, handler);
    });
    connection.token = token;
    handler.accepted(connection);
  }

  #receive(connection: EpollConnection, events: number, handler: EngineHandler): void {
    let length = 0;
    if ((events & EPOLLIN) !== 0) {
      try {
        // read(2) has no room for control messages: the kernel drops descriptors.
        length = readSync(connection.fd, this.#input);
      } catch (error) {
        if (isErrno(error, "EAGAIN")) return;
        // ECONNRESET: the peer closed without having read our answer.
        length = 0;
        events |= EPOLLHUP;
      }
    }
    // Nothing to read is either an empty datagram or the end.
    if (length === 0 && (events & (EPOLLRDHUP | EPOLLHUP)) !== 0) {
      connection.close();
      handler.hungUp(connection);
      return;
    }
    handler.received(connection, this.#input, length);
  }

  watch(fd: number, events: number, hungUp: () => void): Watch {
    const token = this.#loop.watch(fd, events, hungUp);
    return { end: () => this.#loop.forget(token, fd) };
  }

  after(delayMs: number, run: () => void): Timer {
    return this.#loop.after(delayMs, run);
  }
}

class EpollConnection implements Connection {
  readonly #socket: Fd;
  readonly #loop: EventLoop;
  readonly #input: Buffer;
  readonly #output: MessageBuffer;
  token = 0;

  constructor(socket: Fd, loop: EventLoop, input: Buffer, output: MessageBuffer) {
    this.#socket = socket;
    this.#loop = loop;
    this.#input = input;
    this.#output = output;
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
      return this.#output.send(this.fd, bytes, encodeRights(fds), MSG_DONTWAIT) !== undefined;
    } catch (error) {
      if (isErrno(error, "EPIPE", "ECONNRESET", "ENOTCONN")) return false;
      throw error;
    }
  }

  discardPending(): void {
    try {
      for (let i = 0; i < DISCARD_LIMIT; i++) if (readSync(this.fd, this.#input) === 0) return;
    } catch (error) {
      // Nothing left, or the peer is gone.
      if (!isErrno(error, "EAGAIN", "ECONNRESET")) throw error;
    }
  }

  close(): void {
    if (!this.isOpen) return;
    this.#loop.forget(this.token, this.fd);
    this.#socket.close();
  }
}
