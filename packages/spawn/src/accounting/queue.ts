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
 */
import type { CgroupSnapshot } from "@cm4all/lua";
import { LOG_ERR, type Logger } from "../log.ts";
import type { Release } from "../reaper/messages.ts";
import type { AccountingSink } from "./sink.ts";

export interface AccountingPolicy {
  /** Whether a failed handler is called again. */
  readonly retry: boolean;
  /** How long after its release a cgroup is given up. */
  readonly maxAgeMs: number;
  /** How many cgroups may wait; the oldest is given up for a new one. */
  readonly maxWaiting: number;
  /** How many handlers may run, that is: mostly wait, at the same time. */
  readonly maxRunning: number;
}

/** Who released a cgroup and waits for its handler. */
export interface Releaser {
  settle(releases: readonly number[]): void;
}

export interface AccountingStatus {
  /** Cgroups whose handler has not returned without an error yet. */
  readonly waiting: number;
  /** Handlers that have been called and have not returned. */
  readonly running: number;
  /** Since the start of the daemon: */
  readonly accounted: number;
  readonly failed: number;
  readonly retried: number;
  /** Given up, and deleted without being accounted. */
  readonly lost: number;
  /** Reports that a later one of the same cgroup has replaced before they were accounted. */
  readonly superseded: number;
  /** How long all handlers together have taken, most of which they waited. */
  readonly handlerMs: number;
}

const FIRST_PAUSE_MS = 1000;
const LONGEST_PAUSE_MS = 300_000;

/** How long to wait after the `attempts`th failure. Pure. */
export function pauseAfter(attempts: number): number {
  return Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (attempts - 1));
}

interface Entry {
  readonly snapshot: CgroupSnapshot;
  readonly release: Release;
  readonly releaser: Releaser;
  readonly sinceMs: number;
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
  #running = 0;
  #counts = { accounted: 0, failed: 0, retried: 0, lost: 0, superseded: 0, handlerMs: 0 };
  readonly #settled = new Map<Releaser, number[]>();
  #expiry: NodeJS.Timeout | undefined;
  #drained: (() => void) | undefined;

  constructor(sink: AccountingSink, policy: AccountingPolicy, log: Logger) {
    this.#sink = sink;
    this.#policy = policy;
    this.#log = log;
    sink.onStateChange(() => this.#pump());
  }

  get status(): AccountingStatus {
    return { waiting: this.#entries.size, running: this.#running, ...this.#counts };
  }

  configure(policy: AccountingPolicy): void {
    this.#policy = policy;
    clearTimeout(this.#expiry);
    this.#expiry = undefined;
    this.#planExpiry();
    this.#pump();
  }

  /** Takes over what was released. @param releaser is told of each that is not to be kept */
  add(releases: readonly Release[], releaser: Releaser): void {
    for (const release of releases) this.#add(release, releaser);
    this.#planExpiry();
    this.#pump();
  }

  #add(release: Release, releaser: Releaser): void {
    const { snapshot } = release;
    const entry: Entry = {
      snapshot,
      release,
      releaser,
      sinceMs: Date.now(),
      attempts: 0,
      lastError: undefined,
      isRunning: false,
      pause: undefined,
      successor: undefined,
    };
    const earlier = this.#entries.get(snapshot.id);
    if (earlier?.isRunning === true) {
      if (earlier.successor !== undefined) this.#counts.superseded++;
      earlier.successor = entry;
      return;
    }
    if (earlier !== undefined) {
      this.#counts.superseded++;
      this.#remove(earlier);
    }
    this.#insert(entry);
  }

  #insert(entry: Entry): void {
    this.#entries.set(entry.snapshot.id, entry);
    this.#ready.add(entry);
    while (this.#entries.size > this.#policy.maxWaiting) {
      const oldest = this.#oldestIdle();
      if (oldest === undefined) return;
      this.#giveUp(oldest, `more than ${this.#policy.maxWaiting} cgroups wait`);
    }
  }

  #oldestIdle(): Entry | undefined {
    for (const entry of this.#entries.values()) if (!entry.isRunning) return entry;
    return undefined;
  }

  #remove(entry: Entry): void {
    clearTimeout(entry.pause);
    this.#ready.delete(entry);
    this.#entries.delete(entry.snapshot.id);
  }

  /** Hands over what can be. */
  #pump(): void {
    const { state } = this.#sink;
    if (state === "idle") for (const entry of [...this.#ready]) this.#finish(entry);
    if (state === "ready")
      for (const entry of this.#ready) {
        if (this.#running >= this.#policy.maxRunning) break;
        this.#run(entry);
      }
    if (this.#running === 0 && (this.#ready.size === 0 || state !== "ready")) this.#drained?.();
  }

  async #run(entry: Entry): Promise<void> {
    this.#ready.delete(entry);
    entry.isRunning = true;
    this.#running++;
    if (entry.attempts > 0) this.#counts.retried++;
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
    this.#counts.handlerMs += performance.now() - startedMs;
    entry.isRunning = false;
    this.#running--;
    if (isFailed) this.#failed(entry, failure);
    else {
      this.#counts.accounted++;
      this.#finish(entry);
    }
    this.#pump();
  }

  #failed(entry: Entry, error: unknown): void {
    const reason = error instanceof Error ? error.message : String(error);
    this.#counts.failed++;
    // Once: an outage of the database fails each waiting handler again and again.
    if (reason !== entry.lastError) this.#log(LOG_ERR, `${displayName(entry)}: ${reason}`);
    entry.lastError = reason;
    if (entry.successor !== undefined) {
      this.#counts.superseded++;
      this.#finish(entry);
    } else if (!this.#policy.retry) this.#finish(entry);
    else if (this.#isTooOld(entry)) this.#giveUp(entry);
    else {
      this.#planExpiry();
      entry.pause = setTimeout(() => {
        entry.pause = undefined;
        this.#ready.add(entry);
        this.#pump();
      }, pauseAfter(entry.attempts));
    }
  }

  /** Nothing more is to be done for an entry: the reaper may delete its cgroup. */
  #finish(entry: Entry): void {
    this.#remove(entry);
    if (!entry.release.vanished) this.#settle(entry);
    if (entry.successor !== undefined) this.#insert(entry.successor);
  }

  #isTooOld({ sinceMs }: Entry): boolean {
    return sinceMs + this.#policy.maxAgeMs <= Date.now();
  }

  #giveUp(entry: Entry, why = `it waited for ${this.#policy.maxAgeMs / 1000} s`): void {
    this.#counts.lost++;
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

  /** Gives up what is too old, and comes back for the next. */
  #planExpiry(): void {
    // One that was planned comes no later than it has to: the oldest only gets younger.
    if (this.#expiry !== undefined) return;
    const oldest = this.#oldestIdle();
    if (oldest === undefined) return;
    const dueMs = oldest.sinceMs + this.#policy.maxAgeMs - Date.now();
    // Not more often than once a second: many are released in one.
    this.#expiry = setTimeout(
      () => {
        this.#expiry = undefined;
        for (const entry of [...this.#entries.values()])
          if (!entry.isRunning && this.#isTooOld(entry)) this.#giveUp(entry);
        this.#planExpiry();
      },
      Math.max(1000, dueMs),
    );
    this.#expiry.unref();
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
    clearTimeout(this.#expiry);
    for (const entry of this.#entries.values()) clearTimeout(entry.pause);
  }
}

function displayName({ snapshot }: Entry): string {
  return Buffer.from(snapshot.path, "latin1").toString();
}
