/**
 * The script host's end of the socket to the daemon. The process ends when the daemon does.
 */
import { readSync } from "node:fs";
import { Socket } from "node:net";
import { isErrno } from "@cm4all/linux";
import { sleepSync, writeFully } from "./compat/output.ts";
import { HOST_FD } from "./host-fd.ts";
import { MessageReader } from "./message-reader.ts";
import { encodeMessage, MAX_REQUEST_BYTES, type Reply, type Request } from "./protocol.ts";

/** The interval at which a blocked script host checks for an answer. */
const LOOK_MS = 1;

export class HostChannel {
  readonly #socket = new Socket({ fd: HOST_FD, readable: true, writable: true });
  readonly #reader = new MessageReader(MAX_REQUEST_BYTES);
  readonly #handle: (request: Request) => void;
  readonly #buffer = Buffer.allocUnsafe(65536);

  /**
   * Opens the channel.
   * @param handle called for each request, also within `receiveUntil`, that is, while Lua code
   * runs; in that case `handle` must not run Lua code itself
   */
  constructor(handle: (request: Request) => void) {
    this.#handle = handle;
    this.#socket.on("data", (chunk: Buffer) => this.#received(chunk));
    this.#socket.on("close", () => process.exit(0));
    this.#socket.on("error", () => process.exit(0));
  }

  /**
   * Sends a reply, and returns when the kernel has taken all of it. If the kernel did not take all
   * of it immediately, Node's socket would wait for a later turn of the event loop; while we block,
   * there is none.
   */
  send(reply: Reply): void {
    try {
      writeFully(HOST_FD, encodeMessage(reply));
    } catch (error) {
      if (!isErrno(error, "EPIPE", "ECONNRESET")) throw error;
      process.exit(0);
    }
  }

  /**
   * Blocks, and handles requests, until `isDone` returns true. Node has handed over all that it
   * has read from the socket, so reading from the socket here keeps the order of the requests.
   */
  receiveUntil(isDone: () => boolean): void {
    while (!isDone()) {
      const count = this.#tryRead();
      if (count === undefined) sleepSync(LOOK_MS);
      else if (count === 0) process.exit(0);
      else this.#received(this.#buffer.subarray(0, count));
    }
  }

  /** Closes the sending side, and calls back when that is done. */
  end(callback: () => void): void {
    this.#socket.end(callback);
  }

  #received(chunk: Buffer): void {
    // The daemon is trusted: whatever it has encoded is a request. All of the chunk is read
    // first, because handling a request may call `receiveUntil`.
    for (const value of [...this.#reader.push(chunk)]) this.#handle(value as Request);
  }

  /** Returns undefined if there is nothing to read: Node has made the socket non-blocking. */
  #tryRead(): number | undefined {
    try {
      return readSync(HOST_FD, this.#buffer);
    } catch (error) {
      if (isErrno(error, "EAGAIN")) return undefined;
      if (isErrno(error, "ECONNRESET")) return 0;
      throw error;
    }
  }
}
