/**
 * Sends messages to the service manager. A message that does not fit into the manager's queue is
 * dropped or tried again; only a barrier waits for the manager.
 * @see sd_notify(3)
 */
import { readSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import {
  AF_UNIX,
  connectUnix,
  encodeRights,
  type Fd,
  isErrno,
  MessageBuffer,
  O_NONBLOCK,
  pipe,
  SOCK_DGRAM,
  SOCK_NONBLOCK,
  SyscallError,
  socket,
} from "@cm4all/linux";

const MAX_MESSAGE_BYTES = 4096;
const RETRY_MS = 20;

export class Notifier {
  readonly #socket: Fd;
  readonly #buffer = new MessageBuffer(MAX_MESSAGE_BYTES, 64);

  private constructor(socket: Fd) {
    this.#socket = socket;
  }

  /**
   * Connects to the service manager. Returns undefined if there is none.
   * @param address the value of `NOTIFY_SOCKET`: a path, or `@NAME`; undefined without a manager
   * @throws SyscallError if nobody listens there
   */
  static open(address: string | undefined): Notifier | undefined {
    if (address === undefined || address === "") return undefined;
    const fd = socket(AF_UNIX, SOCK_DGRAM, 0, SOCK_NONBLOCK);
    try {
      connectUnix(fd.number, address);
    } catch (error) {
      fd.close();
      throw error;
    }
    return new Notifier(fd);
  }

  /**
   * Tries once to send `NAME=value` lines. Returns false if the message could not be sent.
   */
  trySend(lines: readonly string[], fds: readonly number[] = []): boolean {
    try {
      const message = Buffer.from(lines.join("\n"));
      return this.#buffer.send(this.#socket.number, message, encodeRights(fds)) !== undefined;
    } catch (error) {
      // The manager is gone, or memory has run short: no reason to end the daemon.
      if (error instanceof SyscallError) return false;
      throw error;
    }
  }

  /** Sends lines, and tries for up to `timeoutMs`. Resolves to whether the message was sent. */
  async send(
    lines: readonly string[],
    fds: readonly number[] = [],
    timeoutMs = 5000,
  ): Promise<boolean> {
    const endMs = performance.now() + timeoutMs;
    while (!this.trySend(lines, fds)) {
      if (performance.now() >= endMs) return false;
      await sleep(RETRY_MS);
    }
    return true;
  }

  /**
   * Waits until the manager has processed everything that was sent before. Resolves to false if
   * sending the barrier, or then waiting for the manager, takes longer than `timeoutMs`.
   * @see sd_notify_barrier(3)
   */
  async barrier(timeoutMs = 5000): Promise<boolean> {
    const [reader, writer] = pipe(O_NONBLOCK);
    using _reader = reader;
    const isSent = await this.send(["BARRIER=1"], [writer.number], timeoutMs);
    writer.close();
    if (!isSent) return false;
    const endMs = performance.now() + timeoutMs;
    while (performance.now() < endMs) {
      if (isClosed(reader)) return true;
      await sleep(1);
    }
    return false;
  }

  /** Closes the socket. */
  close(): void {
    this.#socket.close();
  }
}

/** Returns whether all writers of a pipe have closed it. */
function isClosed(reader: Fd): boolean {
  try {
    return readSync(reader.number, Buffer.alloc(1)) === 0;
  } catch (error) {
    if (isErrno(error, "EAGAIN")) return false;
    throw error;
  }
}

/**
 * Returns the time, in milliseconds, within which the manager expects the next keep-alive message;
 * undefined if the manager expects none.
 * @see sd_watchdog_enabled(3)
 */
export function watchdogIntervalMs(env: NodeJS.ProcessEnv, pid: number): number | undefined {
  const usec = Number(env["WATCHDOG_USEC"]);
  if (!Number.isInteger(usec) || usec <= 0) return undefined;
  const forPid = env["WATCHDOG_PID"];
  if (forPid !== undefined && Number(forPid) !== pid) return undefined;
  return usec / 1000;
}
