/**
 * Messages to the service manager. A message that does not fit into its queue is tried
 * again or dropped; only a barrier waits for the manager. @see sd_notify(3)
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
   * @param address `NOTIFY_SOCKET`: a path, or `@NAME`; undefined without a manager
   * @throws SyscallError where nobody listens there
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

  /** Sends `NAME=value` lines once. Gives false where the kernel or the manager does not take them. */
  trySend(lines: readonly string[], fds: readonly number[] = []): boolean {
    try {
      const message = Buffer.from(lines.join("\n"));
      return this.#buffer.send(this.#socket.number, message, encodeRights(fds)) !== undefined;
    } catch (error) {
      // Gone, or out of memory for the moment: no reason to end.
      if (error instanceof SyscallError) return false;
      throw error;
    }
  }

  /** Sends, and tries again for `timeoutMs`. Gives whether it was sent. */
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
   * Waits until the manager has dealt with everything sent before. Gives false where it
   * has not within `timeoutMs`. @see sd_notify_barrier(3)
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

/** Whether a pipe has no writers. */
function isClosed(reader: Fd): boolean {
  try {
    return readSync(reader.number, Buffer.alloc(1)) === 0;
  } catch (error) {
    if (isErrno(error, "EAGAIN")) return false;
    throw error;
  }
}

/**
 * How often the manager wants to hear from us, milliseconds; undefined where it does not.
 * @see sd_watchdog_enabled(3)
 */
export function watchdogIntervalMs(env: NodeJS.ProcessEnv, pid: number): number | undefined {
  const usec = Number(env["WATCHDOG_USEC"]);
  if (!Number.isInteger(usec) || usec <= 0) return undefined;
  const forPid = env["WATCHDOG_PID"];
  if (forPid !== undefined && Number(forPid) !== pid) return undefined;
  return usec / 1000;
}
