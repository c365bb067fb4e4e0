/**
 * A fake daemon, which gives the answers that a test chooses, including answers that the real
 * daemon never gives. It polls its sockets with a timer, in the process of the test.
 */
import { openSync } from "node:fs";
import {
  AF_UNIX,
  accept,
  bindUnix,
  controlSpace,
  encodeRights,
  Fd,
  isErrno,
  listen,
  MessageBuffer,
  SOCK_NONBLOCK,
  SOCK_SEQPACKET,
  socket,
} from "@cm4all/linux";

/** The answer to a request. */
export interface Reply {
  /** Sent if given, with `fdCount` descriptors of /dev/null. */
  readonly bytes?: Uint8Array;
  readonly fdCount?: number;
  /** True to close the connection afterwards. */
  readonly hangUp?: boolean;
}

let count = 0;

export class FakeDaemon {
  readonly address = `@cm4all-spawn-client-test-${process.pid}-${count++}`;
  readonly requests: Buffer[] = [];
  readonly #listener = socket(AF_UNIX, SOCK_SEQPACKET, 0, SOCK_NONBLOCK);
  readonly #peers = new Set<Fd>();
  readonly #buffer = new MessageBuffer(40_000, controlSpace(400));
  readonly #timer: NodeJS.Timeout;
  readonly #reply: (request: number) => Reply;

  /** Listens. @param reply called with the number of the request, counted from 0 */
  constructor(reply: (request: number) => Reply, backlog = 10) {
    this.#reply = reply;
    bindUnix(this.#listener.number, this.address);
    listen(this.#listener.number, backlog);
    this.#timer = setInterval(() => this.#serve(), 1);
  }

  /** Ends every connection, as a restart does. */
  hangUp(): void {
    for (const peer of this.#peers) peer.close();
    this.#peers.clear();
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.hangUp();
    this.#listener.close();
  }

  #serve(): void {
    const peer = accept(this.#listener.number, SOCK_NONBLOCK);
    if (peer !== undefined) this.#peers.add(peer);
    for (const peer of this.#peers) this.#serveOne(peer);
  }

  #serveOne(peer: Fd): void {
    const message = this.#receive(peer);
    if (message === undefined) return;
    let hangUp = message.length === 0;
    if (!hangUp) {
      const reply = this.#reply(this.requests.length);
      this.requests.push(Buffer.from(message));
      hangUp = reply.hangUp ?? false;
      if (reply.bytes !== undefined) this.#send(peer, reply.bytes, reply.fdCount ?? 0);
    }
    if (hangUp) {
      peer.close();
      this.#peers.delete(peer);
    }
  }

  /**
   * Receives a message: undefined if there is none yet, an empty one if the peer has closed the
   * connection.
   */
  #receive(peer: Fd): Buffer | undefined {
    try {
      return this.#buffer.receive(peer.number)?.data;
    } catch (error) {
      if (isErrno(error, "ECONNRESET")) return Buffer.alloc(0);
      throw error;
    }
  }

  /** Sends a message; has no effect if the peer has closed the connection. */
  #send(peer: Fd, bytes: Uint8Array, fdCount: number): void {
    const fds = Array.from({ length: fdCount }, () => new Fd(openSync("/dev/null", "r")));
    try {
      this.#buffer.send(peer.number, bytes, encodeRights(fds.map((fd) => fd.number)));
    } catch (error) {
      if (!isErrno(error, "EPIPE")) throw error;
    } finally {
      for (const fd of fds) fd.close();
    }
  }
}
