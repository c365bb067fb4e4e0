import { readSync } from "node:fs";
import {
  accept,
  EPOLLHUP,
  EPOLLIN,
  EPOLLRDHUP,
  Fd,
  isErrno,
  MessageBuffer,
  SO_PASSCRED,
  SOCK_NONBLOCK,
  SOL_SOCKET,
  setIntOption,
  setNonBlocking,
} from "@cm4all/linux";
import {
  MAX_DATAGRAM_SIZE,
  MAX_ERROR_SIZE,
  MAX_RESPONSE_DESCRIPTORS,
} from "@cm4all/spawn-protocol";
import type { EventLoop, Timer } from "../thread/event-loop.ts";
import { Disposal } from "./disposal.ts";
import type { Engine, EngineHandler, Watch } from "./engine.ts";
import { EpollConnection, type Shared } from "./epoll-connection.ts";

/** How many connections one wake-up accepts before others get their turn. */
const ACCEPT_BATCH = 16;

/** How long accepting pauses when descriptors have run out, milliseconds. */
const ACCEPT_PAUSE_MS = 100;

/** The engine of epoll(7): one read, one answer, per readiness. */
export class EpollEngine implements Engine {
  readonly #loop: EventLoop;
  readonly #onError: (error: unknown) => void;
  readonly #shared: Shared;
  #listener: { token: number; fd: number } | undefined;
  #pause: Timer | undefined;

  /** @param onError is told of what hinders accepting */
  constructor(loop: EventLoop, onError: (error: unknown) => void) {
    this.#loop = loop;
    this.#onError = onError;
    this.#shared = {
      loop,
      disposal: new Disposal(loop),
      // One byte more than allowed tells a datagram that is too large.
      input: Buffer.alloc(MAX_DATAGRAM_SIZE + 1),
      output: new MessageBuffer(MAX_ERROR_SIZE + 24, 16 + MAX_RESPONSE_DESCRIPTORS * 4),
      probe: new MessageBuffer(1, 0),
    };
  }

  listen(fd: number, handler: EngineHandler): void {
    // systemd passes sockets that wait, unless told otherwise.
    setNonBlocking(fd);
    setIntOption(fd, SOL_SOCKET, SO_PASSCRED, 1);
    this.#watchListener(fd, handler);
  }

  #watchListener(fd: number, handler: EngineHandler): void {
    const token = this.#loop.watch(fd, EPOLLIN, () => this.#accept(fd, handler));
    this.#listener = { token, fd };
  }

  stopListening(): void {
    this.#pause?.cancel();
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
        this.stopListening();
        this.#pause = this.#loop.after(ACCEPT_PAUSE_MS, () =>
          this.#watchListener(listenerFd, handler),
        );
        return;
      }
      if (socket === undefined) return;
      this.adopt(socket.release(), handler);
    }
  }

  adopt(connectionFd: number, handler: EngineHandler): void {
    const socket = new Fd(connectionFd);
    const connection = new EpollConnection(socket, this.#shared);
    connection.token = this.#loop.watch(socket.number, EPOLLIN | EPOLLRDHUP, (events) =>
      this.#receive(connection, events, handler),
    );
    handler.accepted(connection);
  }

  #receive(connection: EpollConnection, events: number, handler: EngineHandler): void {
    if (!handler.mayReceive(connection)) return;
    const { input } = this.#shared;
    let length = 0;
    if ((events & EPOLLIN) !== 0) {
      try {
        // read(2) has no room for control messages: the kernel drops descriptors.
        length = readSync(connection.fd, input);
      } catch (error) {
        if (isErrno(error, "EAGAIN")) return;
        // ECONNRESET: the peer closed without having read our answer.
        length = 0;
        events |= EPOLLHUP;
      }
    }
    // Nothing to read is either an empty datagram or the end.
    if (length === 0 && (events & (EPOLLRDHUP | EPOLLHUP)) !== 0) {
      connection.closeAtEnd();
      handler.hungUp(connection);
      return;
    }
    handler.received(connection, input, length);
  }

  watch(fd: number, events: number, hungUp: () => void): Watch {
    // An init that died before a request was sent must not be given for it.
    const token = this.#loop.watchFirst(fd, events, hungUp);
    return { end: () => this.#loop.forget(token, fd) };
  }

  after(delayMs: number, run: () => void): Timer {
    return this.#loop.after(delayMs, run);
  }
}
