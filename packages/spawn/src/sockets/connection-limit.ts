/**
 * Bounds what the peers of a stream server take of the process: the namespace service
 * needs its descriptors.
 */
import type { Server, Socket } from "node:net";

export interface ConnectionBounds {
  /** How many connections there are at most; each is a descriptor. */
  readonly count: number;
  /** How long a peer may take to send its request, and again to take the answer. */
  readonly peerTimeoutMs: number;
}

interface Connection {
  /** Set while the peer owes something: its request, or to take the answer. */
  readonly timeout: NodeJS.Timeout | undefined;
}

/**
 * The connections of a server, each of which is to carry one request and its answer. If
 * there are too many, the one whose peer has owed something for the longest time makes
 * room, so that idle peers keep nobody from being served: libuv accepts one connection
 * between two looks at the others, and who asks at once is not idle any more then.
 */
export class ConnectionLimit {
  readonly #bounds: ConnectionBounds;
  /** In the order in which they have got into their state. */
  readonly #connections = new Map<Socket, Connection>();
  readonly #asked = new WeakSet<Socket>();

  constructor(server: Server, bounds: ConnectionBounds) {
    this.#bounds = bounds;
    server.on("connection", (socket: Socket) => {
      if (this.#connections.size >= bounds.count) this.#makeRoom();
      this.#waitForPeer(socket);
      socket.once("close", () => this.#remove(socket));
    });
  }

  /**
   * The request is there, and the peer owes nothing until `answering`.
   * @returns false for a further request, which is to be left alone
   */
  working(socket: Socket): boolean {
    if (this.#asked.has(socket) || !this.#forget(socket)) return false;
    this.#asked.add(socket);
    this.#connections.set(socket, { timeout: undefined });
    return true;
  }

  /** The answer is there, and the peer has to take it. */
  answering(socket: Socket): void {
    if (this.#forget(socket)) this.#waitForPeer(socket);
  }

  #makeRoom(): void {
    const sockets = [...this.#connections];
    const [victim] = sockets.find(([, { timeout }]) => timeout !== undefined) ?? sockets[0] ?? [];
    if (victim !== undefined) this.#remove(victim);
  }

  #waitForPeer(socket: Socket): void {
    const timeout = setTimeout(() => this.#remove(socket), this.#bounds.peerTimeoutMs);
    this.#connections.set(socket, { timeout });
  }

  /** @returns whether it was there */
  #forget(socket: Socket): boolean {
    clearTimeout(this.#connections.get(socket)?.timeout);
    return this.#connections.delete(socket);
  }

  #remove(socket: Socket): void {
    this.#forget(socket);
    // Closes the descriptor at once; the event "close" would come too late.
    socket.destroy();
  }
}
