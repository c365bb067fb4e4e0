/** Descriptors that are served when an EventLoop has done everything else. */
import { EPOLLIN, Epoll } from "@cm4all/linux";
import type { EventLoop } from "./event-loop.ts";

/** How many events are handled in a turn of the loop at most: others wait for so long. */
const BATCH = 2;

type Handler = (events: number) => void;

/**
 * Has an epoll instance of its own, which the loop watches as a whole: however many of its
 * descriptors are ready, they take a bounded part of each turn, and the last one.
 */
export class SideLoop {
  readonly #epoll = new Epoll(BATCH);
  /** By token. */
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

  /** As EventLoop.watch. */
  watch(fd: number, events: number, handler: Handler): number {
    const token = this.#nextToken++;
    this.#epoll.add(fd, events, token);
    this.#watches.set(token, handler);
    return token;
  }

  /** As EventLoop.forget. */
  forget(token: number, fd: number | undefined): void {
    if (this.#watches.delete(token) && fd !== undefined) this.#epoll.remove(fd);
  }
}
