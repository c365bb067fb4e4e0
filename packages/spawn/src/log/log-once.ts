import { monotonicMs } from "../thread/event-loop.ts";
import type { Logger, Priority } from "./log.ts";
import { LOG_WARNING } from "./log.ts";

/** The number of kinds of events that are remembered. Events of further kinds are not logged. */
const MAX_KINDS = 1000;

/**
 * The time after which all kinds are forgotten, in milliseconds: a kind may contain a pid, which
 * may be reused, and a cause may occur again.
 */
const FORGET_MS = 3_600_000;

/**
 * Logs events that may happen again and again: each kind once, until all kinds are forgotten, which
 * happens at most once an hour.
 */
export class LogOnce {
  readonly #log: Logger;
  readonly #now: () => number;
  readonly #kinds = new Set<string>();
  #forgetMs = 0;

  /** @param now returns milliseconds of a monotonic clock */
  constructor(log: Logger, now: () => number = monotonicMs) {
    this.#log = log;
    this.#now = now;
  }

  /**
   * Logs an event unless an event of its kind is remembered, or too many kinds are.
   * @param kind identifies the kind of event
   */
  log(kind: string, priority: Priority, text: string): void {
    const now = this.#now();
    if (now >= this.#forgetMs) {
      this.#kinds.clear();
      this.#forgetMs = now + FORGET_MS;
    }
    if (this.#kinds.size >= MAX_KINDS || this.#kinds.has(kind)) return;
    this.#kinds.add(kind);
    this.#log(priority, text);
    if (this.#kinds.size === MAX_KINDS)
      this.#log(LOG_WARNING, "further kinds of events are not logged for up to an hour");
  }
}
