import type { EventLoop } from "../../thread/event-loop.ts";
import { SideLoop } from "../../thread/side-loop.ts";
import { isSystemError } from "../errors.ts";
import { ClientPool } from "./client-pool.ts";
import type { Peer } from "./permission.ts";

interface Waiting {
  readonly peer: Peer;
}

/**
 * The connections of strangers (see `isStranger` in clients.ts) whose turn has not come yet, or who
 * have sent nothing. The room may hold thousands of connections, so for each it keeps no more than
 * the socket and what is known about the peer: the garbage collector has to copy all long-lived
 * objects, and all clients wait meanwhile.
 */
export class WaitingRoom {
  readonly #sideLoop: SideLoop;
  readonly #pool = new ClientPool<Waiting>();
  readonly #bySocket = new Map<number, Waiting>();

  /**
   * @param called a callback that runs when a peer has sent something or hung up, after all other
   *   clients have been served. The peer has then been taken from the room, and the callback owns
   *   its socket
   * @param onError a callback that runs when a peer cannot be taken from the room; the room tries
   *   again
   */
  constructor(loop: EventLoop, called: (peer: Peer) => void, onError: (error: Error) => void) {
    this.#sideLoop = new SideLoop(loop, (fd) => {
      const peer = this.#bySocket.get(fd)?.peer;
      if (peer === undefined) return;
      try {
        this.take(peer);
      } catch (error) {
        if (!isSystemError(error)) throw error;
        onError(error);
        return;
      }
      called(peer);
    });
  }

  get size(): number {
    return this.#pool.size;
  }

  /** Returns how many peers of a uid wait. */
  countOf(uid: number): number {
    return this.#pool.countOf(uid);
  }

  /** Returns the peer that came first, of all peers or of those of one uid. */
  oldest(uid?: number): Peer | undefined {
    return this.#pool.oldest(uid)?.peer;
  }

  /** Lets a peer wait. Its socket belongs to the room until `take`. @throws SyscallError */
  add(peer: Peer): void {
    this.#sideLoop.watch(peer.socketFd);
    const waiting = { peer };
    this.#pool.add(waiting);
    this.#bySocket.set(peer.socketFd, waiting);
  }

  /**
   * Removes a peer that waits. The caller then owns its socket.
   * @throws SyscallError; the peer still waits then
   */
  take({ socketFd }: Peer): void {
    const waiting = this.#bySocket.get(socketFd);
    if (waiting === undefined) throw new Error(`no peer waits with socket ${socketFd}`);
    this.#sideLoop.forget(socketFd);
    this.#bySocket.delete(socketFd);
    this.#pool.delete(waiting);
  }
}
