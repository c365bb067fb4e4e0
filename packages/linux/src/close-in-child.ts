/**
 * Closing that takes no time, whatever is closed.
 *
 * close(2) can take as long as somebody else likes: that of a TCP socket with SO_LINGER
 * waits for the network. Anybody can send such a socket over a Unix socket, and it is
 * closed by whoever reads the message, or closes the Unix socket unread. A process
 * that exits does not linger (tcp_close and others look at PF_EXITING). So the last
 * close is left to a child that has a copy of our descriptors, and is killed.
 */
import type { Fd } from "./fd.ts";
import { killChild, PausedChildStack } from "./paused-child.ts";
import { P_PID, reap, WNOHANG } from "./wait.ts";

export class ClosingChild {
  readonly #stack = new PausedChildStack();
  #pid: number | undefined;

  /**
   * Closes descriptors; it takes them only where it does not throw.
   * @returns false where the last child has not ended yet: nothing is closed then
   * @throws SyscallError of clone: EAGAIN, ENOMEM
   */
  close(fds: readonly Fd[]): boolean {
    if (!this.tryReap()) return false;
    const pid = this.#stack.start();
    this.#pid = pid;
    for (const fd of fds) fd.close();
    killChild(pid);
    return true;
  }

  /** Gives whether there is no child any more. */
  tryReap(): boolean {
    if (this.#pid !== undefined && reap(P_PID, this.#pid, WNOHANG) === undefined) return false;
    this.#pid = undefined;
    return true;
  }
}
