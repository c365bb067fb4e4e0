/** Serves descriptors after an EventLoop has done everything else. */
import { EPOLLIN, Epoll } from "@cm4all/linux";
import type { EventLoop } from "./event-loop.ts";

/** The maximum number of events that are handled in a turn, while everything else waits. */
const BATCH = 2;

type Handler = (events: number) => void;

/**
 * A loop for descriptors of low priority. It has an epoll instance of its own, which the main
 * loop watches as a whole: however many of its descriptors are ready, they take a limited part of
 * each turn, and the last part.
 */
export class SideLoop {
  readonly #epoll = new Epoll(BATCH);
  /** The handlers by token. */
  readonly #watches = new Map<number, Handler>();
  #nextToken = 1;

  constructor(loop: Pick<EventLoop, "watch" | "after">) {
    const call = (token: number, events: number) => this.#watches.get(token)?.(events);
    const serve = () => {
      this.#epoll.wait(0, call);
    };
    // A timer that is due comes after the events of its turn.
    loop.watch(this.#epoll.fd, EPOLLIN, () => void loop.after(0, serve));
  }

  /** Watches a descriptor, as EventLoop.watch does. */
  watch(fd: number, events: number, handler: Handler): number {
    const token = this.#nextToken++;
    this.#epoll.add(fd, events, token);
    this.#watches.set(token, handler);
    return token;
  }

  /** Ends a watch, as EventLoop.forget does. */
  forget(token: number, fd: number | undefined): void {
    if (this.#watches.delete(token) && fd !== undefined) this.#epoll.remove(fd);
  }
}
