import { monotonicMs } from "../thread/event-loop.ts";
import type { Logger, Priority } from "./log.ts";
import { LOG_WARNING } from "./log.ts";

/** How many kinds of events are remembered. */
const MAX_KINDS = 1000;

/** After this time everything is forgotten: pids come round, and causes come back. */
const FORGET_MS = 3_600_000;

/** Logs what may happen again and again: each kind of event once an hour. */
export class LogOnce {
  readonly #log: Logger;
  readonly #now: () => number;
  readonly #kinds = new Set<string>();
  #forgetMs = 0;

  /** @param now milliseconds of a clock */
  constructor(log: Logger, now: () => number = monotonicMs) {
    this.#log = log;
    this.#now = now;
  }

  /** @param kind what tells this event from others */
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
      this.#log(LOG_WARNING, "more of the like is counted, but not logged for an hour");
  }
}
