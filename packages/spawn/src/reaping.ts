/**
 * The reaper's side of the daemon: its thread, which is started again when it crashes,
 * and the queue through which released cgroups reach their handlers.
 */
import { tryFindCgroup2 } from "@cm4all/linux";
import {
  type AccountingPolicy,
  AccountingQueue,
  type AccountingStatus,
} from "./accounting/queue.ts";
import type { AccountingSink, SinkState } from "./accounting/sink.ts";
import type { ReaperConfig } from "./config.ts";
import { LOG_ERR, LOG_INFO, LOG_NOTICE, LOG_WARNING, type Logger } from "./log.ts";
import { ReaperHandle } from "./reaper/handle.ts";
import type { ReaperOptions, ReaperStatus } from "./reaper/messages.ts";

const FIRST_RESTART_MS = 1000;
const LONGEST_RESTART_MS = 60_000;

export interface ReapingStatus {
  /** Undefined while the thread does not run. */
  readonly reaper: ReaperStatus | undefined;
  readonly accounting: AccountingStatus & { readonly state: SinkState };
}

export class Reaping {
  readonly #config: ReaperConfig;
  readonly #sink: AccountingSink;
  readonly #log: Logger;
  readonly #verbose: boolean;
  readonly #queue: AccountingQueue;
  #handle: ReaperHandle | undefined;
  #restartMs = FIRST_RESTART_MS;
  #restart: NodeJS.Timeout | undefined;
  #onStopped: (() => void) | undefined;

  constructor(
    config: ReaperConfig,
    policy: AccountingPolicy,
    sink: AccountingSink,
    verbose: boolean,
    log: Logger,
  ) {
    this.#config = config;
    this.#sink = sink;
    this.#verbose = verbose;
    this.#log = log;
    this.#queue = new AccountingQueue(sink, policy, log);
    sink.onStateChange(() => this.#handle?.setAccounting(sink.state !== "idle"));
  }

  /** Starts the thread; without cgroup2 there is nothing to reap. */
  start(): void {
    const root = this.#config.cgroupRoot ?? tryFindCgroup2();
    if (root === undefined) {
      this.#log(LOG_WARNING, "cgroup2 is not mounted: no cgroups are reaped");
      return;
    }
    this.#log(LOG_INFO, `reaping cgroups below ${root}`);
    this.#startThread({
      root,
      scopes: this.#config.scopes,
      deletionDelayMs: this.#config.deletionDelayMs,
      checkIntervalMs: this.#config.checkIntervalMs,
      verbose: this.#verbose,
      accounting: this.#sink.state !== "idle",
    });
  }

  #startThread(options: ReaperOptions): void {
    const startedMs = performance.now();
    const handle = new ReaperHandle(
      options,
      (releases) => this.#queue.add(releases, handle),
      (error) => {
        this.#handle = undefined;
        if (this.#onStopped !== undefined) return this.#onStopped();
        // A thread that ran well for long is started again at once.
        if (performance.now() - startedMs > LONGEST_RESTART_MS) this.#restartMs = FIRST_RESTART_MS;
        this.#log(LOG_ERR, `the reaper ended, starting it again: ${explain(error)}`);
        this.#restart = setTimeout(
          // The script may have got a handler meanwhile, or have lost it.
          () => this.#startThread({ ...options, accounting: this.#sink.state !== "idle" }),
          this.#restartMs,
        );
        this.#restartMs = Math.min(this.#restartMs * 2, LONGEST_RESTART_MS);
      },
    );
    this.#handle = handle;
  }

  configure(policy: AccountingPolicy): void {
    this.#queue.configure(policy);
  }

  async status(): Promise<ReapingStatus> {
    return {
      reaper: await this.#handle?.status(),
      accounting: { state: this.#sink.state, ...this.#queue.status },
    };
  }

  /** Gives the handlers that run `graceMs`, deletes what is accounted, and ends the thread. */
  async stop(graceMs: number): Promise<void> {
    clearTimeout(this.#restart);
    await this.#queue.drain(graceMs);
    const { waiting } = this.#queue.status;
    if (waiting > 0)
      this.#log(LOG_NOTICE, `${waiting} cgroups are left to be accounted after the next start`);
    this.#queue.close();
    const handle = this.#handle;
    if (handle === undefined) return;
    await new Promise<void>((resolve) => {
      this.#onStopped = resolve;
      handle.stop();
    });
  }
}

/** A refusal of the kernel explains itself; anything else is a defect and needs its stack. */
function explain(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return "code" in error ? error.message : (error.stack ?? error.message);
}
