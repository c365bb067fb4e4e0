/**
 * Between the reaper and the script host: every released cgroup is handed to its
 * handler until that has returned without an error; only then the reaper is told to
 * delete it. The directory itself is the durable copy of what waits here.
 *
 * Invariants:
 * - There is at most one entry for a cgroup's id, and at most one handler runs for it:
 *   a later report, whose counters include the earlier one's, takes the place of one
 *   that waits, and waits for one that runs.
 * - Entries are in the order of their release, so children come before their parents.
 * - Whoever has been told that a handler is there or will be waits for one: only what was
 *   released while that was not known, or while there was none, is settled without.
 * - Nothing is given up that has not been tried, nor while it cannot be tried.
 *
 * Ages are those of CLOCK_MONOTONIC, which never jumps and by which Node's timers go. It
 * stands still while the host is suspended, when no handler could be tried either.
 */
import type { CgroupSnapshot } from "@cm4all/cgroup";
import { errorText, textOf } from "@cm4all/linux";
import { doubling, pauseAfter } from "@cm4all/supervision";
import { LOG_ERR, LOG_WARNING, type Logger } from "../log.ts";
import { zeroCounts } from "../metrics/declaration.ts";
import type { Release } from "../reaper/messages.ts";
import { ACCOUNTING_METRICS, type AccountingGauges, type AccountingMetrics } from "./metrics.ts";
import type { AccountingSink, SinkState } from "./sink.ts";

export interface AccountingPolicy {
  /** Whether a failed handler is called again. */
  readonly retry: boolean;
  /** How long after its first attempt a cgroup whose handler fails is given up. */
  readonly maxAgeMs: number;
  /** How many cgroups whose handler has failed may wait; the oldest is given up for a new one. */
  readonly maxWaiting: number;
  /** How many handlers may run, that is: mostly wait, at the same time. */
  readonly maxRunning: number;
  /** How many cgroups are handed to a handler of lists at once, at most. */
  readonly batch: number;
}

/** Who released a cgroup and waits for its handler. */
export interface Releaser {
  settle(releases: readonly number[]): void;
}

/** Between the failure of a cgroup's handler and its next call. */
export const HANDLER_PAUSES = doubling(1000, 300_000);

interface Entry {
  readonly snapshot: CgroupSnapshot;
  readonly release: Release;
  readonly releaser: Releaser;
  /** When its handler was first called. */
  triedSinceMs: number | undefined;
  attempts: number;
  lastError: string | undefined;
  isRunning: boolean;
  pause: NodeJS.Timeout | undefined;
  /** A later report, which came while this one's handler was running. */
  successor: Entry | undefined;
}

export class AccountingQueue {
  readonly #sink: AccountingSink;
  readonly #log: Logger;
  #policy: AccountingPolicy;
  /** By id, in the order of the releases. */
  readonly #entries = new Map<string, Entry>();
  /** Those that can be handed over now, in their order. */
  #ready = new Set<Entry>();
  /** Those whose handler has failed, in the order in which it did for the first time. */
  readonly #failing = new Set<Entry>();
  /** Those that were released while it was not known whether there is a handler. */
  readonly #undecided = new Set<Entry>();
  /** Whether a handler was there, or to come, since the last time that there was none. */
  #isPromised = false;
  #lastState: SinkState | undefined;
  #running = 0;
  readonly #counts = zeroCounts(ACCOUNTING_METRICS);
  readonly #settled = new Map<Releaser, number[]>();
  #drained: (() => void) | undefined;

  constructor(sink: AccountingSink, policy: AccountingPolicy, log: Logger) {
    this.#sink = sink;
    this.#policy = policy;
    this.#log = log;
    sink.onStateChange(() => this.#pump());
  }

  get metrics(): AccountingMetrics {
    const gauges: AccountingGauges = {
      script: this.#sink.state,
      waitingCgroups: this.#entries.size,
      runningHandlers: this.#running,
    };
    return { ...gauges, ...this.#counts };
  }

  configure(policy: AccountingPolicy): void {
    this.#policy = policy;
    this.#pump();
  }

  /** Takes over what was released. @param releaser is told of each that is not to be kept */
  add(releases: readonly Release[], releaser: Releaser): void {
    for (const release of releases) this.#add(release, releaser);
    this.#pump();
  }

  #add(release: Release, releaser: Releaser): void {
    const { snapshot } = release.record;
    const entry: Entry = {
      snapshot,
      release,
      releaser,
      triedSinceMs: undefined,
      attempts: 0,
      lastError: undefined,
      isRunning: false,
      pause: undefined,
      successor: undefined,
    };
    const earlier = this.#entries.get(snapshot.id);
    if (earlier?.isRunning === true) {
      if (earlier.successor !== undefined) this.#counts.supersededReports++;
      earlier.successor = entry;
      return;
    }
    if (earlier !== undefined) {
      this.#counts.supersededReports++;
      this.#remove(earlier);
    }
    this.#insert(entry);
  }

  #insert(entry: Entry): void {
    this.#entries.set(entry.snapshot.id, entry);
    this.#ready.add(entry);
    if (!this.#isPromised) this.#undecided.add(entry);
    this.#makeRoom();
  }

  #makeRoom(): void {
    if (this.#sink.state !== "ready") return;
    for (const entry of this.#failing) {
      if (this.#failing.size <= this.#policy.maxWaiting) return;
      if (entry.isRunning) continue;
      this.#giveUp(entry, `the handlers of more than ${this.#policy.maxWaiting} cgroups fail`);
    }
  }

  #remove(entry: Entry): void {
    clearTimeout(entry.pause);
    this.#ready.delete(entry);
    this.#failing.delete(entry);
    this.#undecided.delete(entry);
    this.#entries.delete(entry.snapshot.id);
  }

  /** Hands over what can be. */
  #pump(): void {
    const { state } = this.#sink;
    this.#notePromise(state);
    if (state === "idle") for (const entry of [...this.#undecided]) this.#finish(entry);
    if (state === "ready")
      for (const entry of this.#ready) {
        if (this.#running >= this.#policy.maxRunning || this.#sink.room === 0) break;
        this.#run(entry);
      }
    if (this.#running === 0 && (this.#ready.size === 0 || state !== "ready")) this.#drained?.();
  }

  /**
   * What comes after a change to `idle` was still released before it, because the reaper
   * tells nothing of what it releases once it knows.
   */
  #notePromise(state: SinkState): void {
    if (state === "ready" || state === "down") {
      this.#isPromised = true;
      this.#undecided.clear();
    } else if (state === "starting" && this.#lastState === "idle") this.#isPromised = false;
    else if (state === "idle" && this.#lastState !== "idle") {
      const waiting = this.#entries.size - this.#undecided.size;
      if (waiting > 0) this.#log(LOG_WARNING, `${waiting} cgroups wait until there is a handler`);
    }
    this.#lastState = state;
  }

  async #run(entry: Entry): Promise<void> {
    this.#ready.delete(entry);
    entry.triedSinceMs ??= performance.now();
    entry.isRunning = true;
    this.#running++;
    if (entry.attempts > 0) this.#counts.retriedHandlers++;
    entry.attempts++;
    const startedMs = performance.now();
    let failure: unknown;
    let isFailed = false;
    try {
      await this.#sink.account(entry.snapshot);
    } catch (error) {
      failure = error;
      isFailed = true;
    }
    this.#counts.handlerSeconds += (performance.now() - startedMs) / 1000;
    entry.isRunning = false;
    this.#running--;
    if (isFailed) this.#failed(entry, failure);
    else {
      this.#counts.accountedCgroups++;
      this.#finish(entry);
    }
    this.#pump();
  }

  #failed(entry: Entry, error: unknown): void {
    const reason = errorText(error);
    this.#counts.failedHandlers++;
    // Once: an outage of the database fails each waiting handler again and again.
    if (reason !== entry.lastError) this.#log(LOG_ERR, `${displayName(entry)}: ${reason}`);
    entry.lastError = reason;
    if (entry.successor !== undefined) {
      this.#counts.supersededReports++;
      this.#finish(entry);
    } else if (!this.#policy.retry) this.#finish(entry);
    else {
      const leftMs = this.#leftMs(entry);
      const pauseMs = pauseAfter(HANDLER_PAUSES, entry.attempts);
      if (leftMs <= 0) this.#giveUp(entry);
      else this.#tryLater(entry, Math.min(pauseMs, Math.ceil(leftMs)));
    }
  }

  #tryLater(entry: Entry, pauseMs: number): void {
    this.#failing.add(entry);
    entry.pause = setTimeout(() => {
      entry.pause = undefined;
      this.#ready.add(entry);
      this.#pump();
    }, pauseMs);
  }

  /** Nothing more is to be done for an entry: the reaper may delete its cgroup. */
  #finish(entry: Entry): void {
    this.#remove(entry);
    if (!entry.release.vanished) this.#settle(entry);
    if (entry.successor !== undefined) this.#insert(entry.successor);
  }

  /** Until it is given up. */
  #leftMs({ triedSinceMs }: Entry): number {
    const now = performance.now();
    return (triedSinceMs ?? now) + this.#policy.maxAgeMs - now;
  }

  #giveUp(
    entry: Entry,
    why = `its handler has failed for ${this.#policy.maxAgeMs / 1000} s`,
  ): void {
    this.#counts.lostCgroups++;
    const error = entry.lastError === undefined ? "" : `; last error: ${entry.lastError}`;
    this.#log(
      LOG_ERR,
      `${displayName(entry)}: not accounted, given up after ${entry.attempts} attempts: ${why}${error}`,
    );
    this.#finish(entry);
  }

  /** One message for all that is settled in a turn. */
  #settle({ releaser, release }: Entry): void {
    if (this.#settled.size === 0) setImmediate(() => this.#flush());
    const numbers = this.#settled.get(releaser);
    if (numbers === undefined) this.#settled.set(releaser, [release.number]);
    else numbers.push(release.number);
  }

  #flush(): void {
    for (const [releaser, numbers] of this.#settled) releaser.settle(numbers);
    this.#settled.clear();
  }

  /**
   * Waits until no handler runs or can be called any more, at most `timeoutMs`. What is
   * left is handed over again after the next start.
   */
  async drain(timeoutMs: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, timeoutMs);
      this.#drained = () => {
        clearTimeout(timer);
        resolve();
      };
      this.#pump();
    });
    this.#drained = undefined;
    this.#flush();
  }

  close(): void {
    for (const entry of this.#entries.values()) clearTimeout(entry.pause);
  }
}

function displayName({ snapshot }: Entry): string {
  return textOf(snapshot.path);
}
