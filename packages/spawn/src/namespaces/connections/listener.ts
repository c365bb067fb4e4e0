import {
  accept,
  EPOLLIN,
  type Fd,
  isErrno,
  listen,
  SO_PASSCRED,
  SOCK_NONBLOCK,
  SOL_SOCKET,
  setIntOption,
  setNonBlocking,
} from "@cm4all/linux";
import { type EventLoop, monotonicMs, type Timer } from "../../thread/event-loop.ts";
import { isSystemError, type OnError } from "../errors.ts";
import { type Accepted, Connection } from "./connection.ts";
import type { Shared } from "./shared.ts";

/**
 * How long, in microseconds, the listener accepts connections in a turn of the loop before other
 * events are handled; the last connection may take longer. A client in the queue waits behind all
 * strangers before it, so the listener accepts as many as it can in this time: most strangers are
 * only set aside, and the connections of the others are closed. Without the limit a turn might
 * never end, because strangers may connect again as fast as they are accepted.
 */
const ACCEPT_US = 250;

/** The maximum number of connections that wait to be accepted; net.core.somaxconn may lower it. */
const LISTEN_BACKLOG = 4096;

/**
 * The maximum during a flood of strangers, who would fill a queue of any length. A client in the
 * queue waits until all before it have been accepted; if the queue is full, the client waits in
 * connect(2) instead.
 */
const FLOOD_BACKLOG = 256;

/** The time without a flood after which the queue is long again, in milliseconds. */
const CALM_MS = 1000;

/** How long the listener pauses when it has run out of descriptors, in milliseconds. */
const ACCEPT_PAUSE_MS = 100;

/** Accepts connections on the listening sockets. */
export class Listener {
  readonly #loop: EventLoop;
  readonly #accepted: (connection: Connection) => Accepted;
  readonly #onError: OnError;
  readonly #shared: Shared;
  #watch: { readonly token: number; readonly fd: number } | undefined;
  #pause: Timer | undefined;
  /**
   * How many of the connections that are yet to be accepted may have been made before `start`. The
   * kernel queues one more than listen(2) asks for. systemd may have asked for more than this
   * daemon does, but its socket unit sets the option for all of them (PassCredentials=).
   */
  #early = LISTEN_BACKLOG + 1;
  /** The most recent turn of the loop in which connections were accepted. */
  #turn = 0;
  /** The number of strangers since the queue was last empty. */
  #strangers = 0;
  #isFlooded = false;
  #floodedMs = 0;

  /**
   * @param accepted finds an owner for a new connection
   * @param onError called if the listener fails to accept connections, to stop accepting, or to
   *   change the length of the queue
   */
  constructor(shared: Shared, accepted: (connection: Connection) => Accepted, onError: OnError) {
    this.#loop = shared.loop;
    this.#shared = shared;
    this.#accepted = accepted;
    this.#onError = onError;
  }

  /** Starts to accept connections. @param fd the listening socket, which its owner closes */
  start(fd: number): void {
    // systemd passes blocking sockets by default.
    setNonBlocking(fd);
    setIntOption(fd, SOL_SOCKET, SO_PASSCRED, 1);
    // An earlier daemon may have left the socket with the short queue of a flood.
    listen(fd, LISTEN_BACKLOG);
    this.#start(fd);
  }

  #start(fd: number): void {
    this.#watch = { token: this.#loop.watch(fd, EPOLLIN, () => this.#accept(fd)), fd };
  }

  /** Starts to accept again after a pause. */
  #pauseBefore(fd: number): void {
    this.#pause = this.#loop.after(ACCEPT_PAUSE_MS, () => {
      try {
        this.#start(fd);
      } catch (error) {
        // ENOMEM, ENOSPC.
        if (!isSystemError(error)) throw error;
        this.#onError("cannot accept connections for the moment", error);
        this.#pauseBefore(fd);
      }
    });
  }

  /** Stops accepting, unless the kernel refuses to end the watch. */
  stop(): void {
    this.#pause?.cancel();
    if (this.#watch === undefined) return;
    try {
      this.#loop.forget(this.#watch.token, this.#watch.fd);
      this.#watch = undefined;
    } catch (error) {
      if (!isSystemError(error)) throw error;
      this.#onError("cannot stop accepting connections", error);
    }
  }

  #accept(fd: number): void {
    const { turn } = this.#loop;
    // Several connections are accepted only if the previous turn accepted any: for a client that
    // comes alone, this saves the call that would find the queue empty.
    const areMany = turn === this.#turn + 1;
    this.#turn = turn;
    if (!areMany) this.#strangers = 0;
    const endMs = areMany ? monotonicMs() + ACCEPT_US / 1000 : 0;
    do {
      let socket: Fd | undefined;
      try {
        socket = accept(fd, SOCK_NONBLOCK);
      } catch (error) {
        // The peer gave up before the connection was accepted.
        if (isErrno(error, "ECONNABORTED")) continue;
        // EMFILE and the like: the connection stays in the queue, and the listening socket stays
        // readable. Without a pause the loop would use all the CPU time.
        if (!isSystemError(error)) throw error;
        this.#onError("cannot accept connections for the moment", error);
        this.stop();
        if (this.#watch === undefined) this.#pauseBefore(fd);
        return;
      }
      if (socket === undefined) {
        this.#strangers = 0;
        return;
      }
      // A spawner sends its request right after it has connected: serve the spawner before more
      // strangers are accepted.
      if (this.#serve(fd, socket, areMany) === "spawner") return;
      // A flood is recognised by a count, not by a time: on a slow machine, it takes long to empty
      // even an ordinary queue.
      if (++this.#strangers > FLOOD_BACKLOG) this.#flooded(fd);
    } while (areMany && monotonicMs() < endMs);
  }

  /**
   * @param socket ownership passes to the connection
   * @param areMany true if the loop is busy with new connections
   */
  #serve(fd: number, socket: Fd, areMany: boolean): "spawner" | "stranger" {
    const connection = new Connection(socket, fd, this.#shared);
    try {
      // Since Linux 6.16 a connection inherits SO_PASSCRED when it is made, not when it is
      // accepted, so one that was made before `start` may lack the option.
      if (this.#early > 0) {
        this.#early--;
        setIntOption(socket.number, SOL_SOCKET, SO_PASSCRED, 1);
      }
      const owner = this.#accepted(connection);
      if (owner === "closed") this.#flooded(fd);
      if (typeof owner === "string") return "stranger";
      connection.serve(owner, areMany);
      return owner.isStranger ? "stranger" : "spawner";
    } catch (error) {
      if (!isSystemError(error)) throw error;
      this.#shared.onError(error);
      connection.abandon();
      return "stranger";
    }
  }

  /** Keeps the queue short until the flood is over. */
  #flooded(fd: number): void {
    this.#floodedMs = monotonicMs();
    if (this.#isFlooded) return;
    this.#isFlooded = true;
    this.#setBacklog(fd, FLOOD_BACKLOG);
    const look = () => {
      const calmMs = this.#floodedMs + CALM_MS;
      this.#isFlooded = this.#watch !== undefined && monotonicMs() < calmMs;
      if (this.#isFlooded) this.#loop.after(CALM_MS, look);
      else this.#setBacklog(fd, LISTEN_BACKLOG);
    };
    this.#loop.after(CALM_MS, look);
  }

  /** Changes the length of the queue. Since Linux 6.16 listen(2) allocates memory, and may fail. */
  #setBacklog(fd: number, backlog: number): void {
    try {
      listen(fd, backlog);
    } catch (error) {
      if (!isSystemError(error)) throw error;
      this.#onError("cannot change the length of the queue of connections", error);
    }
  }
}
