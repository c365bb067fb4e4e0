/**
 * The event loop of a worker thread that waits in epoll_wait(2) itself, not in Node's loop. The
 * work of such a thread is synchronous, so that nothing else can run between two steps. Promises,
 * and Node's timers and streams, do nothing on it.
 */
import { performance } from "node:perf_hooks";
import { Epoll } from "@cm4all/linux";
import { type Histogram, observe } from "../metrics/histogram.ts";

type Handler = (events: number) => void;

/** A call that is scheduled for a point in time. */
export interface Timer {
  /** Cancels the call. Has no effect once the call has run. */
  cancel(): void;
}

interface PendingTimer extends Timer {
  readonly dueMs: number;
  readonly run: () => void;
}

/** Returns the time of the monotonic clock, in milliseconds. */
export function monotonicMs(): number {
  return performance.now();
}

/** Watches descriptors and runs timers on a worker thread. */
export class EventLoop {
  readonly #epoll = new Epoll(64);
  /** The handlers by token. The tokens that `watchFirst` returns are odd. */
  readonly #watches = new Map<number, Handler>();
  // A loop has a handful of timers: code with thousands of deadlines keeps them in order itself.
  readonly #timers = new Set<PendingTimer>();
  /** The time at which the first timer is due, or the earlier time of a timer that was cancelled. */
  #nextDueMs = Number.POSITIVE_INFINITY;
  #nextToken = 1;
  readonly #turnSeconds: Histogram | undefined;
  #stopped = false;
  /** The number of waits so far. */
  #turn = 0;

  /** @param turnSeconds records the duration of each turn, the time from one wait to the next */
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

  /**
   * Like watch, but the handler is called before the handlers of all other descriptors that are
   * ready at the same time.
   */
  watchFirst(fd: number, events: number, handler: Handler): number {
    return this.#watch(fd, events, handler, 2 * this.#nextToken++ + 1);
  }

  /**
   * @param token not the number of the descriptor: if the descriptor is closed after an event was
   *   fetched and before it is handled, another file may already have that number
   */
  #watch(fd: number, events: number, handler: Handler, token: number): number {
    this.#epoll.add(fd, events, token);
    this.#watches.set(token, handler);
    return token;
  }

  /**
   * Ends a watch. To be called before the descriptor is closed.
   * @param fd undefined if the caller closes the descriptor right afterwards, and no other
   *   descriptor, in any process, refers to its open file description: the kernel then ends the
   *   watch
   * @throws SyscallError; the watch then goes on
   */
  forget(token: number, fd: number | undefined): void {
    if (fd !== undefined && this.#watches.has(token)) this.#epoll.remove(fd);
    this.#watches.delete(token);
  }

  /** Returns the number of this turn, which is how many times the loop has waited. */
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

  /** Runs until `stop`. An exception from a handler ends the loop. */
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

  /** Makes `run` return at the end of this turn. */
  stop(): void {
    this.#stopped = true;
  }

  /** Ends all watches. The watched descriptors stay open: their owners close them. */
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
