/** Serves descriptors after an EventLoop has done everything else. */
import { EPOLLIN, EPOLLRDHUP, Epoll } from "@cm4all/linux";
import type { EventLoop } from "./event-loop.ts";

/** The maximum number of events that are handled in a turn, while everything else waits. */
const BATCH = 2;

/**
 * A loop for descriptors of low priority. It has an epoll instance of its own, which the EventLoop
 * watches as a whole. However many of these descriptors are ready, they take a limited part of
 * each turn, after everything else. The side loop keeps no object in memory for any of them.
 */
export class SideLoop {
  readonly #epoll = new Epoll(BATCH);

  /**
   * @param ready called with each descriptor that has something to read. The previous call in the
   *   same turn may have forgotten the descriptor
   */
  constructor(loop: Pick<EventLoop, "watch" | "after">, ready: (fd: number) => void) {
    const serve = () => {
      this.#epoll.wait(0, ready);
    };
    // A timer that is due runs after the events of its turn have been handled.
    loop.watch(this.#epoll.fd, EPOLLIN, () => void loop.after(0, serve));
  }

  /** Watches a descriptor. @throws SyscallError */
  watch(fd: number): void {
    this.#epoll.add(fd, EPOLLIN | EPOLLRDHUP, fd);
  }

  /**
   * Ends a watch. To be called before the descriptor is closed.
   * @throws SyscallError; the watch goes on then
   */
  forget(fd: number): void {
    this.#epoll.remove(fd);
  }
}
