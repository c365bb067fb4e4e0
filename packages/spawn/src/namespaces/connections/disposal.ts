import { ClosingChild, type Fd } from "@cm4all/linux";
import type { EventLoop } from "../../thread/event-loop.ts";
import { isSystemError } from "../errors.ts";

/** How many wait at most: then their time is over. */
const MAX_WAITING = 256;

/** Long enough for a peer to read our last answer, which the end of its connection hides. */
const DELAY_MS = 200;

/**
 * Sockets whose closing may take as long as a stranger likes: they are closed by a child
 * process, many at once. The kernel bounds how many there are, because it lets a user
 * without privileges have no more than RLIMIT_NOFILE descriptors under way.
 */
export class Disposal {
  readonly #loop: EventLoop;
  readonly #child = new ClosingChild();
  #waiting: Fd[] = [];
  #isPlanned = false;

  constructor(loop: EventLoop) {
    this.#loop = loop;
  }

  /** @param socket owned from then on */
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
      // No process can be made for the moment (EAGAIN, ENOMEM): again later.
      if (!isSystemError(error)) throw error;
    }
  }
}
