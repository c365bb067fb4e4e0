import { ClosingChild, type Fd } from "@cm4all/linux";
import type { EventLoop } from "../../thread/event-loop.ts";
import { isSystemError } from "../errors.ts";

/**
 * As soon as this many sockets wait, a child process closes all of them, unless the previous child
 * process is still running.
 */
const MAX_WAITING = 256;

/**
 * The time from the first socket that waits to the run that closes all of them, in milliseconds.
 * Until then, the peers can read our last answer.
 */
const DELAY_MS = 200;

/**
 * Closes sockets that may take as long to close as an untrusted peer likes: a child process closes
 * many of them together. The kernel bounds the number of sockets that hold descriptors, because a
 * user without privileges may have at most RLIMIT_NOFILE descriptors in flight.
 */
export class Disposal {
  readonly #loop: EventLoop;
  readonly #child = new ClosingChild();
  #waiting: Fd[] = [];
  #isPlanned = false;

  constructor(loop: EventLoop) {
    this.#loop = loop;
  }

  /** @param socket ownership passes to the disposal */
  add(socket: Fd): void {
    this.#waiting.push(socket);
    if (this.#waiting.length >= MAX_WAITING) this.#run();
    this.#plan();
  }

  #plan(): void {
    if (this.#isPlanned) return;
    this.#isPlanned = true;
    this.#loop.after(DELAY_MS, () => {
      this.#isPlanned = false;
      this.#run();
      if (this.#waiting.length > 0 || !this.#child.tryReap()) this.#plan();
    });
  }

  #run(): void {
    if (this.#waiting.length === 0) return;
    try {
      if (this.#child.close(this.#waiting)) this.#waiting = [];
    } catch (error) {
      // No process can be created at the moment (EAGAIN, ENOMEM): try again later.
      if (!isSystemError(error)) throw error;
    }
  }
}
