/**
 * Writes lines and never waits: a reader of the log that is slow, or stands still, must not
 * stop a thread that serves others. What cannot be written yet is kept, up to a bound; what is
 * lost is counted, and said as soon as something can be written again.
 */
import { constants, fstatSync, openSync, writeSync } from "node:fs";
import { isErrno, MSG_DONTWAIT, send } from "@cm4all/linux";

/** Some thousand lines. */
const MAX_KEPT_BYTES = 256 * 1024;

/** Between two attempts while something is kept. */
const RETRY_MS = 100;

/** Calls `run` once, later, on this thread. */
export type Schedule = (delayMs: number, run: () => void) => unknown;

/** Writes as much as can be written now. @returns the number of bytes; 0 if none @throws Error of the call */
type TryWrite = (bytes: Uint8Array) => number;

export class LineWriter {
  readonly #tryWrite: TryWrite;
  readonly #schedule: Schedule;
  readonly #lostText: (count: number) => string;
  #kept: Uint8Array[] = [];
  #keptBytes = 0;
  #lost = 0;
  #isPlanned = false;

  /**
   * @param fd stays its owner's
   * @param lostText the line that says how many lines were lost
   */
  constructor(fd: number, schedule: Schedule, lostText: (count: number) => string) {
    this.#tryWrite = openForWriting(fd);
    this.#schedule = schedule;
    this.#lostText = lostText;
  }

  /**
   * @param line with its newline
   * @param isUrgent whether it is tried at once, also while others wait for the next attempt
   */
  write(line: string, isUrgent = false): void {
    const bytes = Buffer.from(line);
    if (this.#keptBytes + bytes.length > MAX_KEPT_BYTES) this.#lost++;
    else this.#keep(bytes);
    if (!this.#isPlanned || isUrgent) this.#flush();
  }

  #keep(bytes: Uint8Array): void {
    this.#kept.push(bytes);
    this.#keptBytes += bytes.length;
  }

  #flush(): void {
    while (this.#writeFirst()) {
      if (this.#kept.length > 0 || this.#lost === 0) continue;
      this.#keep(Buffer.from(this.#lostText(this.#lost)));
      this.#lost = 0;
    }
    if (this.#kept.length === 0 || this.#isPlanned) return;
    this.#isPlanned = true;
    this.#schedule(RETRY_MS, () => {
      this.#isPlanned = false;
      this.#flush();
    });
  }

  /** @returns whether something was written */
  #writeFirst(): boolean {
    const [first] = this.#kept;
    if (first === undefined) return false;
    let written = 0;
    try {
      written = this.#tryWrite(first);
      if (written === 0) return false;
    } catch {
      // ENOSPC, EPIPE: there is no other place to report it to. The line is lost.
      this.#lost++;
      this.#kept.shift();
      this.#keptBytes -= first.length;
      return false;
    }
    this.#keptBytes -= written;
    if (written < first.length) this.#kept[0] = first.subarray(written);
    else this.#kept.shift();
    return true;
  }
}

/**
 * Returns how to write without waiting. O_NONBLOCK belongs to the open file, which others
 * write to as well, such as the shell that started us. So a pipe or a terminal is opened once
 * more, and a socket is told for each message.
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
    // No /proc, or a terminal of somebody else: then it is written to as it is.
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
