/**
 * Closes sockets without waiting, whatever is queued in them.
 *
 * close(2) can take as long as somebody else likes: for a TCP socket with SO_LINGER it waits for
 * the network. Anybody can send such a socket over a Unix socket, and then it is closed by the
 * process that reads the message, or that closes the Unix socket without reading. A process that
 * exits does not linger (inet_release and others check PF_EXITING). So the last close is left to a
 * child that has a copy of our descriptors, and is killed. This does not help with files: close(2)
 * flushes a file on FUSE or NFS even if it is not the last close.
 */
import type { Fd } from "./fd.ts";
import { killChild, PausedChildStack } from "./paused-child.ts";
import { P_PID, reap, WNOHANG } from "./wait.ts";

export class ClosingChild {
  readonly #stack = new PausedChildStack();
  #pid: number | undefined;

  /**
   * Closes sockets. Takes ownership of them only if it returns true.
   * @returns false if the previous child has not ended yet: nothing is closed then
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

  /** Reaps the child if it has ended. Returns true if no child is left. */
  tryReap(): boolean {
    if (this.#pid !== undefined && reap(P_PID, this.#pid, WNOHANG) === undefined) return false;
    this.#pid = undefined;
    return true;
  }
}
