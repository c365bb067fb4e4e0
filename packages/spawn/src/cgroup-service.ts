/**
 * The reaper's side of the daemon: its thread, which is started again when it crashes,
 * the script, and the queue between them.
 */
import { tryFindCgroup2 } from "@cm4all/cgroup";
import { type ByteString, textOf } from "@cm4all/linux";
import { AccountingQueue, type AccountingStatus } from "./accounting/queue.ts";
import { ScriptSink } from "./accounting/script-sink.ts";
import type { SinkState } from "./accounting/sink.ts";
import type { AccountingConfig, ReaperConfig } from "./config.ts";
import { LOG_ERR, LOG_INFO, LOG_NOTICE, LOG_WARNING, type Logger } from "./log.ts";
import type { ReaperOptions, ReaperStatus } from "./reaper/messages.ts";
import { ReaperThread } from "./reaper/thread.ts";

const FIRST_RESTART_MS = 1000;
const LONGEST_RESTART_MS = 60_000;

export interface CgroupServiceStatus {
  /** Undefined while the thread does not run. */
  readonly reaper: ReaperStatus | undefined;
  readonly accounting: AccountingStatus & { readonly state: SinkState };
}

export class CgroupService {
  readonly #sink: ScriptSink;
  readonly #log: Logger;
  readonly #queue: AccountingQueue;
  #handle: ReaperThread | undefined;
  #restartMs = FIRST_RESTART_MS;
  #restart: NodeJS.Timeout | undefined;
  #onStopped: (() => void) | undefined;

  private constructor(
    root: ByteString,
    reaper: ReaperConfig,
    accounting: AccountingConfig,
    verbose: boolean,
    log: Logger,
  ) {
    this.#log = log;
    this.#sink = new ScriptSink(root, log);
    this.#queue = new AccountingQueue(this.#sink, accounting.policy, log);
    this.#sink.onStateChange(() => this.#handle?.setAccounting(this.#isAccounting));
    this.#log(LOG_INFO, `reaping cgroups below ${textOf(root)}`);
    this.#sink.configure(accounting);
    this.#startThread({
      root,
      scopes: reaper.scopes,
      deletionDelayMs: reaper.deletionDelayMs,
      checkIntervalMs: reaper.checkIntervalMs,
      verbose,
      accounting: this.#isAccounting,
    });
  }

  /** Starts it all; undefined without cgroup2, where there is nothing to reap. */
  static start(
    reaper: ReaperConfig,
    accounting: AccountingConfig,
    verbose: boolean,
    log: Logger,
  ): CgroupService | undefined {
    const root = reaper.cgroupRoot ?? tryFindCgroup2();
    if (root !== undefined) return new CgroupService(root, reaper, accounting, verbose, log);
    log(LOG_WARNING, "cgroup2 is not mounted: no cgroups are reaped");
    return undefined;
  }

  /** Whether cgroups are kept until they are accounted. */
  get #isAccounting(): boolean {
    return this.#sink.state !== "idle";
  }

  #startThread(options: ReaperOptions): void {
    const startedMs = performance.now();
    const handle = new ReaperThread(
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
          () => this.#startThread({ ...options, accounting: this.#isAccounting }),
          this.#restartMs,
        );
        this.#restartMs = Math.min(this.#restartMs * 2, LONGEST_RESTART_MS);
      },
    );
    this.#handle = handle;
  }

  /** Takes over a changed configuration, and calls the script's `reload`. */
  reload(accounting: AccountingConfig): void {
    this.#queue.configure(accounting.policy);
    this.#sink.configure(accounting);
  }

  async status(): Promise<CgroupServiceStatus> {
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
    await Promise.all([this.#sink.stop(), this.#stopThread()]);
  }

  async #stopThread(): Promise<void> {
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
