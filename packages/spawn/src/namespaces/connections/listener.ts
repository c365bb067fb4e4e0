import {
  accept,
  allocateNative,
  controlSpace,
  EPOLLIN,
  type Fd,
  isErrno,
  listen,
  MessageBuffer,
  MessageProbe,
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
import { type EventLoop, monotonicMs, type Timer } from "../../thread/event-loop.ts";
import { SideLoop } from "../../thread/side-loop.ts";
import { isSystemError } from "../errors.ts";
import { Connection, type ConnectionOwner, type Shared } from "./connection.ts";
import { Disposal } from "./disposal.ts";

/**
 * For how long one wake-up accepts, microseconds, before others get their turn; the last one may
 * take longer. Whoever waits in the queue waits behind all strangers in it, so it is as many as
 * come in that time: some have gone already, others have to be answered. No longer, because
 * strangers come back as fast as they are accepted, so that a turn would never end.
 */
const ACCEPT_US = 250;

/** Connections that wait to be accepted; net.core.somaxconn bounds it. */
const LISTEN_BACKLOG = 4096;

/**
 * The same while strangers flood it. They fill any queue, and whoever connects waits until
 * all before it are accepted; a client that would not fit waits in connect(2) instead.
 */
const FLOOD_BACKLOG = 256;

/** For how long there must have been no flood. */
const CALM_MS = 1000;

/** How long accepting pauses when descriptors have run out, milliseconds. */
const ACCEPT_PAUSE_MS = 100;

/** Is told what the kernel has refused, and what that hinders. */
type OnError = (what: string, error: Error) => void;

/** Accepts connections. */
export class Listener {
  readonly #loop: EventLoop;
  readonly #accepted: (connection: Connection) => ConnectionOwner | undefined;
  readonly #onError: OnError;
  readonly #shared: Shared;
  #watch: { readonly token: number; readonly fd: number } | undefined;
  #pause: Timer | undefined;
  /** How many at most are still to come that may have connected before `start`. */
  #early = LISTEN_BACKLOG;
  /** The turn of the loop that accepted last. */
  #turn = 0;
  /** Strangers since nobody waited. */
  #strangers = 0;
  #isFlooded = false;
  #floodedMs = 0;

  /**
   * @param accepted gives the owner of a new connection; undefined if it has closed it, because
   *   there are too many of the kind
   * @param onError is told of what hinders accepting, or has cost a connection
   */
  constructor(
    loop: EventLoop,
    accepted: (connection: Connection) => ConnectionOwner | undefined,
    onError: OnError,
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
      probe: new MessageProbe(),
      sideLoop: new SideLoop(loop),
      onError: (error) => onError("a connection failed", error),
    };
  }

  /** Starts to accept from a listening socket, which its owner closes. */
  start(fd: number): void {
    // systemd passes sockets that wait, unless told otherwise.
    setNonBlocking(fd);
    setIntOption(fd, SOL_SOCKET, SO_PASSCRED, 1);
    // A socket that outlives its daemon may have been left with the queue of a flood.
    listen(fd, LISTEN_BACKLOG);
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
    // A client that is alone costs no call that finds nobody.
    const areMany = turn === this.#turn + 1;
    this.#turn = turn;
    if (!areMany) this.#strangers = 0;
    const endMs = areMany ? monotonicMs() + ACCEPT_US / 1000 : 0;
    do {
      let socket: Fd | undefined;
      try {
        socket = accept(fd, SOCK_NONBLOCK);
      } catch (error) {
        // The peer gave up before we came to it.
        if (isErrno(error, "ECONNABORTED")) continue;
        // EMFILE and the like: the connection stays in the queue, and the listener
        // readable. A pause keeps that from taking all the time.
        if (!isSystemError(error)) throw error;
        this.#onError("cannot accept connections for the moment", error);
        this.stop();
        this.#pause = this.#loop.after(ACCEPT_PAUSE_MS, () => this.#start(fd));
        return;
      }
      if (socket === undefined) {
        this.#strangers = 0;
        return;
      }
      // A connection inherits the option when it is made (Linux 6.16), not when it is accepted.
      if (this.#early > 0) {
        this.#early--;
        setIntOption(socket.number, SOL_SOCKET, SO_PASSCRED, 1);
      }
      // What a spawner asks comes right after it has connected, and before more strangers.
      if (this.#serve(fd, new Connection(socket, fd, this.#shared), areMany) === "spawner") return;
      // However slow the machine is: a long queue would take long until its end.
      if (++this.#strangers > FLOOD_BACKLOG) this.#flooded(fd);
    } while (areMany && monotonicMs() < endMs);
  }

  /** @param areMany whether the loop is busy with those who connect */
  #serve(fd: number, connection: Connection, areMany: boolean): "spawner" | "stranger" {
    try {
      const owner = this.#accepted(connection);
      if (owner === undefined) {
        this.#flooded(fd);
        return "stranger";
      }
      connection.serve(owner, areMany);
      return owner.isStranger ? "stranger" : "spawner";
    } catch (error) {
      if (!isSystemError(error)) throw error;
      this.#shared.onError(error);
      connection.abandon();
      return "stranger";
    }
  }

  /** Keeps the queue short until it is calm again. */
  #flooded(fd: number): void {
    this.#floodedMs = monotonicMs();
    if (this.#isFlooded) return;
    this.#isFlooded = true;
    listen(fd, FLOOD_BACKLOG);
    const look = () => {
      const calmMs = this.#floodedMs + CALM_MS;
      this.#isFlooded = this.#watch !== undefined && monotonicMs() < calmMs;
      if (this.#isFlooded) this.#loop.after(CALM_MS, look);
      else listen(fd, LISTEN_BACKLOG);
    };
    this.#loop.after(CALM_MS, look);
  }
}
