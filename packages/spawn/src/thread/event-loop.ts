/**
 * The event loop of a worker thread that waits in epoll_wait(2) itself instead of in
 * Node's loop: its work is synchronous, so nothing else can get between two steps.
 * Promises, timers and streams of Node do nothing on such a thread.
 */
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
  readonly #handlers = new Map<number, Handler>();
  /** Tokens of watchFirst. */
  readonly #first = new Set<number>();
  // A loop has a handful of timers: whoever has thousands of deadlines keeps them in order.
  readonly #timers = new Set<PendingTimer>();
  #nextToken = 1;
  readonly #turnSeconds: Histogram | undefined;
  #stopped = false;

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
    // Not the descriptor's number: it may belong to another file by the time an event
    // that was fetched together with its closing comes up.
    const token = this.#nextToken++;
    this.#epoll.add(fd, events, token);
    this.#handlers.set(token, handler);
    return token;
  }

  /** Like watch, but comes before everything else that is ready at the same time. */
  watchFirst(fd: number, events: number, handler: Handler): number {
    const token = this.watch(fd, events, handler);
    this.#first.add(token);
    return token;
  }

  /** Ends a watch. To be called before the descriptor is closed. */
  forget(token: number, fd: number): void {
    if (!this.#handlers.delete(token)) return;
    this.#first.delete(token);
    this.#epoll.remove(fd);
  }

  /** Calls `run` once, in `delayMs` milliseconds or a little later. */
  after(delayMs: number, run: () => void): Timer {
    const timer: PendingTimer = {
      dueMs: monotonicMs() + delayMs,
      run,
      cancel: () => this.#timers.delete(timer),
    };
    this.#timers.add(timer);
    return timer;
  }

  /** Runs until `stop`. An exception from a handler ends it. */
  run(): void {
    const handleFirst = (token: number, events: number) => {
      if (this.#first.has(token)) this.#handlers.get(token)?.(events);
    };
    const handle = (token: number, events: number) => {
      if (!this.#first.has(token)) this.#handlers.get(token)?.(events);
    };
    while (!this.#stopped) {
      this.#epoll.fetch(this.#untilNextTimerMs());
      const startMs = monotonicMs();
      this.#epoll.dispatch(handleFirst);
      this.#epoll.dispatch(handle);
      this.#runTimers();
      if (this.#turnSeconds !== undefined)
        observe(this.#turnSeconds, (monotonicMs() - startMs) / 1000);
    }
  }

  stop(): void {
    this.#stopped = true;
  }

  /** Ends all watches; their descriptors stay their owners'. */
  close(): void {
    this.#epoll.close();
  }

  #untilNextTimerMs(): number | undefined {
    let next: number | undefined;
    for (const { dueMs } of this.#timers) if (next === undefined || dueMs < next) next = dueMs;
    return next === undefined ? undefined : Math.max(0, next - monotonicMs());
  }

  #runTimers(): void {
    if (this.#timers.size === 0) return;
    const now = monotonicMs();
    for (const timer of [...this.#timers]) {
      if (timer.dueMs > now || !this.#timers.delete(timer)) continue;
      timer.run();
    }
  }
}
