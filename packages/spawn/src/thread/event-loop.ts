/**
 * The event loop of a worker thread that waits in epoll_wait(2) itself instead of in
 * Node's loop: its work is synchronous, so nothing else can get between two steps.
 * Promises, timers and streams of Node do nothing on such a thread.
 */
import { performance } from "node:perf_hooks";
import { Epoll } from "@cm4all/linux";
import { type Histogram, observe } from "../metrics/histogram.ts";

type Handler = (events: number) => void;

/** A call that was asked for at a point in time. */
export interface Timer {
  /** Without effect once it has run. */
  cancel(): void;
}

interface PendingTimer extends Timer {
  readonly dueMs: number;
  readonly run: () => void;
}

/** Milliseconds of the monotonic clock. */
export function monotonicMs(): number {
  return performance.now();
}

export class EventLoop {
  readonly #epoll = new Epoll(64);
  /** By token, which is odd where a watch comes before all others. */
  readonly #watches = new Map<number, Handler>();
  // A loop has a handful of timers: whoever has thousands of deadlines keeps them in order.
  readonly #timers = new Set<PendingTimer>();
  /** When the first of them is due; earlier, where that one was cancelled. */
  #nextDueMs = Number.POSITIVE_INFINITY;
  #nextToken = 1;
  readonly #turnSeconds: Histogram | undefined;
  #stopped = false;
  /** Counts the waits. */
  #turn = 0;

  /** @param turnSeconds counts how long nothing was served between two waits */
  constructor(turnSeconds?: Histogram) {
    this.#turnSeconds = turnSeconds;
  }

  /**
   * Calls `handler` while `fd` is ready.
   * @param events EPOLLIN, ...; hang-ups and errors are always reported
   * @returns a token for `forget`
   */
  watch(fd: number, events: number, handler: Handler): number {
    return this.#watch(fd, events, handler, 2 * this.#nextToken++);
  }

  /** Like watch, but comes before everything else that is ready at the same time. */
  watchFirst(fd: number, events: number, handler: Handler): number {
    return this.#watch(fd, events, handler, 2 * this.#nextToken++ + 1);
  }

  /**
   * @param token not the descriptor's number: that may belong to another file by the time an
   *   event that was fetched together with its closing comes up
   */
  #watch(fd: number, events: number, handler: Handler, token: number): number {
    this.#epoll.add(fd, events, token);
    this.#watches.set(token, handler);
    return token;
  }

  /**
   * Ends a watch. To be called before the descriptor is closed.
   * @param fd undefined where it is closed at once, and no other descriptor of this process
   *   has its open file: the kernel forgets it then
   */
  forget(token: number, fd: number | undefined): void {
    if (this.#watches.delete(token) && fd !== undefined) this.#epoll.remove(fd);
  }

  /** The number of this turn: how often the loop has waited. */
  get turn(): number {
    return this.#turn;
  }

  /** Calls `run` once, in `delayMs` milliseconds or a little later. */
  after(delayMs: number, run: () => void): Timer {
    const timer: PendingTimer = {
      dueMs: monotonicMs() + delayMs,
      run,
      cancel: () => this.#timers.delete(timer),
    };
    this.#timers.add(timer);
    this.#nextDueMs = Math.min(this.#nextDueMs, timer.dueMs);
    return timer;
  }

  /** Runs until `stop`. An exception from a handler ends it. */
  run(): void {
    const call = (token: number, events: number) => this.#watches.get(token)?.(events);
    const callFirst = (token: number, events: number) => {
      if (token % 2 === 1) call(token, events);
    };
    const callOther = (token: number, events: number) => {
      if (token % 2 === 0) call(token, events);
    };
    let nowMs = monotonicMs();
    while (!this.#stopped) {
      const count = this.#epoll.fetch(this.#untilNextTimerMs(nowMs));
      this.#turn++;
      const startMs = monotonicMs();
      if (count === 1) this.#epoll.dispatch(call);
      else if (count > 1) {
        this.#epoll.dispatch(callFirst);
        this.#epoll.dispatch(callOther);
      }
      nowMs = monotonicMs();
      if (nowMs >= this.#nextDueMs) {
        this.#runTimers(nowMs);
        nowMs = monotonicMs();
      }
      if (this.#turnSeconds !== undefined) observe(this.#turnSeconds, (nowMs - startMs) / 1000);
    }
  }

  /** Has `run` return when the handler that runs now has. */
  stop(): void {
    this.#stopped = true;
  }

  /** Ends all watches; their descriptors stay their owners'. */
  close(): void {
    this.#epoll.close();
  }

  #untilNextTimerMs(nowMs: number): number | undefined {
    if (this.#timers.size === 0) return undefined;
    return Math.max(0, this.#nextDueMs - nowMs);
  }

  #runTimers(nowMs: number): void {
    for (const timer of [...this.#timers]) {
      if (timer.dueMs > nowMs || !this.#timers.delete(timer)) continue;
      timer.run();
    }
    this.#nextDueMs = Number.POSITIVE_INFINITY;
    for (const { dueMs } of this.#timers) this.#nextDueMs = Math.min(this.#nextDueMs, dueMs);
  }
}
