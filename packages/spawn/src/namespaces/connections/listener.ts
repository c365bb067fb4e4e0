import {
  accept,
  allocateNative,
  controlSpace,
  EPOLLIN,
  type Fd,
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
import type { EventLoop, Timer } from "../../thread/event-loop.ts";
import { Connection, type ConnectionOwner, type Shared } from "./connection.ts";
import { Disposal } from "./disposal.ts";

/**
 * How many connections one wake-up accepts at most before others get their turn. It is one
 * at first, and twice as many each time that there are more in the next turn: a client that
 * is alone costs no call that finds nobody.
 */
const ACCEPT_BATCH = 16;

/** How long accepting pauses when descriptors have run out, milliseconds. */
const ACCEPT_PAUSE_MS = 100;

/** Accepts connections. */
export class Listener {
  readonly #loop: EventLoop;
  readonly #accepted: (connection: Connection) => ConnectionOwner;
  readonly #onError: (error: unknown) => void;
  readonly #shared: Shared;
  #watch: { readonly token: number; readonly fd: number } | undefined;
  #pause: Timer | undefined;
  #batch = 1;
  /** The turn of the loop that accepted last. */
  #turn = 0;

  /**
   * @param accepted gives the owner of a new connection
   * @param onError is told of what hinders accepting
   */
  constructor(
    loop: EventLoop,
    accepted: (connection: Connection) => ConnectionOwner,
    onError: (error: unknown) => void,
  ) {
    this.#loop = loop;
    this.#accepted = accepted;
    this.#onError = onError;
    this.#shared = {
      loop,
      disposal: new Disposal(loop),
      // One byte more than allowed tells a datagram that is too large.
      input: allocateNative(MAX_DATAGRAM_SIZE + 1),
      output: new MessageBuffer(MAX_ERROR_SIZE + 24, controlSpace(MAX_RESPONSE_DESCRIPTORS * 4)),
      probe: new MessageBuffer(1, 0),
    };
  }

  /** Starts to accept from a listening socket, which its owner closes. */
  start(fd: number): void {
    // systemd passes sockets that wait, unless told otherwise.
    setNonBlocking(fd);
    setIntOption(fd, SOL_SOCKET, SO_PASSCRED, 1);
    this.#start(fd);
  }

  #start(fd: number): void {
    this.#watch = { token: this.#loop.watch(fd, EPOLLIN, () => this.#accept(fd)), fd };
  }

  /** Accepts no more. */
  stop(): void {
    this.#pause?.cancel();
    if (this.#watch === undefined) return;
    this.#loop.forget(this.#watch.token, this.#watch.fd);
    this.#watch = undefined;
  }

  #accept(fd: number): void {
    const { turn } = this.#loop;
    this.#batch = turn === this.#turn + 1 ? Math.min(2 * this.#batch, ACCEPT_BATCH) : 1;
    this.#turn = turn;
    for (let i = 0; i < this.#batch; i++) {
      let socket: Fd | undefined;
      try {
        socket = accept(fd, SOCK_NONBLOCK);
      } catch (error) {
        // The peer gave up before we came to it.
        if (isErrno(error, "ECONNABORTED")) continue;
        // EMFILE and the like: the connection stays in the queue, and the listener
        // readable. A pause keeps that from taking all the time.
        this.#onError(error);
        this.stop();
        this.#pause = this.#loop.after(ACCEPT_PAUSE_MS, () => this.#start(fd));
        return;
      }
      if (socket === undefined) return;
      const connection = new Connection(socket, this.#shared);
      connection.serve(this.#accepted(connection));
    }
  }
}
