/**
 * Writes lines without waiting: a slow or stuck reader of the log must not hold up a thread that
 * serves clients. (For the exception, see `tryOpenAgain`.) Lines that cannot be written yet are
 * kept, up to a limit; further lines are lost. Lost lines are counted, and their number is written
 * as soon as possible.
 */
import { constants, fstatSync, openSync, writeSync } from "node:fs";
import { isErrno, MSG_DONTWAIT, send } from "@cm4all/linux";

/** The maximum size of all kept lines together: a few thousand lines. */
const MAX_KEPT_BYTES = 256 * 1024;

/** The time between two attempts to write lines that are kept, in milliseconds. */
const RETRY_MS = 100;

/** Calls `run` once, after `delayMs` milliseconds, on this thread. */
export type Schedule = (delayMs: number, run: () => void) => unknown;

/**
 * Writes as much as is possible now.
 * @returns the number of bytes that were written; 0 if none
 * @throws Error of the system call
 */
type TryWrite = (bytes: Uint8Array) => number;

/** A line, or the rest of it, that waits to be written. */
interface Kept {
  readonly bytes: Uint8Array;
  /** The number of lines that are lost if these bytes cannot be written. */
  readonly losses: number;
}

export class LineWriter {
  readonly #tryWrite: TryWrite;
  readonly #schedule: Schedule;
  readonly #lostText: (count: number) => string;
  readonly #kept: Kept[] = [];
  #keptBytes = 0;
  #lost = 0;
  #isPlanned = false;

  /**
   * @param fd the descriptor, which its owner closes after the last use of the writer
   * @param lostText returns the line that reports how many lines were lost
   */
  constructor(fd: number, schedule: Schedule, lostText: (count: number) => string) {
    this.#tryWrite = openForWriting(fd);
    this.#schedule = schedule;
    this.#lostText = lostText;
  }

  /**
   * Writes a line, or keeps it until it can be written.
   * @param line the text with its newline
   * @param isUrgent true to try immediately, even while other lines wait for the next attempt
   */
  write(line: string, isUrgent = false): void {
    const bytes = Buffer.from(line);
    if (this.#keptBytes + bytes.length > MAX_KEPT_BYTES) this.#lost++;
    else this.#keep({ bytes, losses: 1 });
    if (!this.#isPlanned || isUrgent) this.#flush();
  }

  #keep(line: Kept): void {
    this.#kept.push(line);
    this.#keptBytes += line.bytes.length;
  }

  #flush(): void {
    while (this.#writeFirst()) {
      if (this.#kept.length > 0 || this.#lost === 0) continue;
      const losses = this.#lost;
      this.#lost = 0;
      this.#keep({ bytes: Buffer.from(this.#lostText(losses)), losses });
    }
    if (this.#kept.length === 0 || this.#isPlanned) return;
    this.#isPlanned = true;
    this.#schedule(RETRY_MS, () => {
      this.#isPlanned = false;
      this.#flush();
    });
  }

  /** Writes what it can of the first line. @returns whether something was written */
  #writeFirst(): boolean {
    const [first] = this.#kept;
    if (first === undefined) return false;
    const { bytes, losses } = first;
    let written = 0;
    try {
      written = this.#tryWrite(bytes);
      if (written === 0) return false;
    } catch {
      // Such as ENOSPC or EPIPE: there is nowhere else to report the error. The line is lost.
      this.#lost += losses;
      this.#kept.shift();
      this.#keptBytes -= bytes.length;
      return false;
    }
    this.#keptBytes -= written;
    if (written < bytes.length) this.#kept[0] = { bytes: bytes.subarray(written), losses };
    else this.#kept.shift();
    return true;
  }
}

/**
 * Returns a function that writes without waiting. O_NONBLOCK belongs to the open file description,
 * which other processes share, such as the shell that started this program. So the flag is not set:
 * a pipe or a terminal is opened once more, and a socket is written to with MSG_DONTWAIT.
 */
function openForWriting(fd: number): TryWrite {
  const status = fstatSync(fd);
  if (status.isSocket()) return (bytes) => send(fd, bytes, MSG_DONTWAIT) ?? 0;
  return writeTo(status.isFile() ? fd : (tryOpenAgain(fd) ?? fd));
}

function tryOpenAgain(fd: number): number | undefined {
  const { O_WRONLY, O_NONBLOCK, O_NOCTTY } = constants;
  try {
    return openSync(`/proc/self/fd/${fd}`, O_WRONLY | O_NONBLOCK | O_NOCTTY);
  } catch {
    // There is no /proc, or the terminal belongs to another user: the lines are written to the
    // descriptor as it is, which may block.
    return undefined;
  }
}

function writeTo(fd: number): TryWrite {
  return (bytes) => {
    try {
      return writeSync(fd, bytes);
    } catch (error) {
      if (isErrno(error, "EAGAIN")) return 0;
      throw error;
    }
  };
}
