/**
 * Limits the descriptors that the peers of a stream server take up in the process, because the
 * namespace service needs them.
 */
import type { Server, Socket } from "node:net";

export interface ConnectionBounds {
  /** The maximum number of connections; each takes up a descriptor. */
  readonly count: number;
  /** The time, in milliseconds, for a peer to send its request, and again to read the answer. */
  readonly peerTimeoutMs: number;
}

interface Connection {
  /** Set while the server waits for the peer to send its request or to read the answer. */
  readonly timeout: NodeJS.Timeout | undefined;
}

/**
 * The connections of a server, each of which carries one request and its answer. If there are too
 * many, the one that has waited longest for its peer is closed, so that idle peers cannot keep
 * others from being served; if none waits, the one whose request was received first is closed. A
 * peer that sends its request immediately is idle during at most one further accept(2), because
 * libuv looks at the existing connections between two accepts.
 */
export class ConnectionLimit {
  readonly #bounds: ConnectionBounds;
  /** The connections, in the order in which they entered their present state. */
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
   * Notes that the request has arrived; the peer need not do anything until `answering`.
   * @returns false for a further request, which is to be ignored
   */
  working(socket: Socket): boolean {
    if (this.#asked.has(socket) || !this.#forget(socket)) return false;
    this.#asked.add(socket);
    this.#connections.set(socket, { timeout: undefined });
    return true;
  }

  /** Notes that the answer is being sent, and the peer has to read it. */
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

  /** @returns whether the connection was known */
  #forget(socket: Socket): boolean {
    clearTimeout(this.#connections.get(socket)?.timeout);
    return this.#connections.delete(socket);
  }

  #remove(socket: Socket): void {
    this.#forget(socket);
    // The descriptor is closed immediately, before the event "close".
    socket.destroy();
  }
}
