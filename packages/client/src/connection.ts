/** A connection to the daemon: sends and receives datagrams, without interpreting them. */
import {
  AF_UNIX,
  connectUnix,
  controlSpace,
  errorText,
  Fd,
  isErrno,
  MessageBuffer,
  MSG_CTRUNC,
  MSG_TRUNC,
  SOCK_NONBLOCK,
  SOCK_SEQPACKET,
  SyscallError,
  send,
  socket,
} from "@cm4all/linux";
import { MAX_RESPONSE_DESCRIPTORS } from "@cm4all/spawn-protocol";
import { SpawnError } from "./errors.ts";
import { pollUntil } from "./wait.ts";

/**
 * The size of the buffer for an answer. Other clients use 1,024 bytes; this size leaves room for
 * longer answers.
 */
const RESPONSE_BYTES = 4096;

/** An answer. Its receiver closes the descriptors. */
export interface Answer {
  /** Valid until the next answer is received. */
  readonly bytes: Uint8Array;
  readonly fds: readonly Fd[];
}

/**
 * A connection. It closes itself after a failure: an answer does not identify its request, so a
 * late answer could be taken for the answer to the next request.
 */
export class Connection {
  readonly #socket: Fd;
  readonly #buffer = new MessageBuffer(RESPONSE_BYTES, controlSpace(MAX_RESPONSE_DESCRIPTORS * 4));

  private constructor(socket: Fd) {
    this.#socket = socket;
  }

  /**
   * Connects to `address`: a path, or `@NAME` for an abstract name. The caller closes the
   * connection.
   * @param deadlineMs on the clock of `performance.now()`
   * @throws SpawnError of kind `unavailable` or `timeout`
   */
  static async open(address: string, deadlineMs: number): Promise<Connection> {
    const fd = socket(AF_UNIX, SOCK_SEQPACKET, 0, SOCK_NONBLOCK);
    try {
      const connected = await pollUntil(deadlineMs, () => tryConnect(fd, address));
      if (connected === undefined) throw timedOut();
      return new Connection(fd);
    } catch (error) {
      fd.close();
      throw error;
    }
  }

  get isOpen(): boolean {
    return this.#socket.isOpen;
  }

  /** Closes the connection; a request under way fails. */
  close(): void {
    this.#socket.close();
  }

  /**
   * Sends a request and waits for its answer. Only one request may be under way, because an answer
   * does not identify its request.
   * @param deadlineMs on the clock of `performance.now()`
   * @throws SpawnError of kind `closed`, `timeout` or `protocol`; the connection is then closed
   */
  async transact(request: Uint8Array, deadlineMs: number): Promise<Answer> {
    try {
      const sent = await pollUntil(deadlineMs, () => this.#trySend(request));
      if (sent === undefined) throw timedOut();
      const answer = await pollUntil(deadlineMs, () => this.#tryReceive());
      if (answer === undefined) throw timedOut();
      return answer;
    } catch (error) {
      this.close();
      throw error;
    }
  }

  #trySend(request: Uint8Array): number | undefined {
    return this.#attempt(() => send(this.#socket.number, request));
  }

  #tryReceive(): Answer | undefined {
    const message = this.#attempt(() => this.#buffer.receive(this.#socket.number));
    if (message === undefined) return undefined;
    const fds = message.fds.map((number) => new Fd(number));
    if (message.flags & (MSG_TRUNC | MSG_CTRUNC)) {
      for (const fd of fds) fd.close();
      throw new SpawnError("protocol", "the daemon's answer is too large");
    }
    if (message.data.length === 0) throw closed();
    return { bytes: message.data, fds };
  }

  #attempt<T>(call: () => T): T {
    if (!this.#socket.isOpen) throw new SpawnError("closed", "the connection was closed");
    try {
      return call();
    } catch (error) {
      if (isErrno(error, "EPIPE", "ECONNRESET")) throw closed(error);
      throw error;
    }
  }
}

function closed(cause?: unknown): SpawnError {
  return new SpawnError("closed", "the daemon closed the connection without an answer", { cause });
}

function timedOut(): SpawnError {
  return new SpawnError("timeout", "the daemon does not answer");
}

/** Tries to connect. @returns undefined while the queue of pending connections is full */
function tryConnect(fd: Fd, address: string): true | undefined {
  try {
    connectUnix(fd.number, address);
    return true;
  } catch (error) {
    if (isErrno(error, "EAGAIN")) return undefined;
    if (isErrno(error, "ECONNREFUSED", "ENOENT"))
      throw new SpawnError("unavailable", `${address}: no spawn daemon listens there`, {
        cause: error,
      });
    if (error instanceof SyscallError)
      throw new SpawnError("unavailable", `${address}: cannot connect: ${errorText(error)}`, {
        cause: error,
      });
    throw error;
  }
}
