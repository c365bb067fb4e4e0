/**
 * Runs the reaper's thread and the accounting of the cgroups that this thread reports as empty. If
 * the thread ends by itself, it is started again.
 */
import { recordSize, tryFindCgroup2 } from "@cm4all/cgroup";
import { inOneLine } from "@cm4all/command";
import { type ByteString, freeMemory, QUIET_MS, readBootId, textOf } from "@cm4all/linux";
import { doubling, Lull, Supervisor } from "@cm4all/supervision";
import { Accounting } from "./accounting/accounting.ts";
import type { JournalStatus } from "./accounting/journal/journal-store.ts";
import { openJournal } from "./accounting/journal/open-journal.ts";
import { ScriptSink } from "./accounting/script/script-sink.ts";
import type { AccountingMetrics } from "./accounting/terms/metrics.ts";
import type { AccountingRecords } from "./accounting/terms/records.ts";
import type { ScriptStatus } from "./accounting/terms/script-status.ts";
import type { AccountingConfig } from "./config/accounting.ts";
import type { ReaperConfig } from "./config/reaper.ts";
import { LOG_ERR, LOG_INFO, LOG_WARNING, type Logger } from "./log/log.ts";
import type { ReaperOptions } from "./reaper/messages.ts";
import type { ReaperMetrics } from "./reaper/metrics.ts";
import { type ReaperThread, startReaperThread } from "./reaper/thread.ts";
import { ThreadEndedError } from "./thread/worker-thread.ts";

/** The pauses between the end of the reaper's thread and its next start. */
const REAPER_PAUSES = doubling(1000, 60_000);

/** If a thread has run for longer than this, the next pause is the shortest one again. */
const RAN_WELL_MS = 60_000;

export interface CgroupMetrics {
  /** Undefined while the reaper's thread is not running. */
  readonly reaper: ReaperMetrics | undefined;
  readonly accounting: AccountingMetrics;
  readonly journal: JournalStatus;
  readonly script: ScriptStatus;
}

export class CgroupService {
  readonly #sink: ScriptSink;
  readonly #accounting: Accounting;
  readonly #log: Logger;
  readonly #supervisor: Supervisor;
  readonly #lull = new Lull(QUIET_MS, () => this.#freeMemory());
  #thread: ReaperThread | undefined;
  #interimMs: number;

  private constructor(
    root: ByteString,
    reaper: ReaperConfig,
    accounting: AccountingConfig,
    verbose: boolean,
    log: Logger,
  ) {
    this.#log = log;
    this.#interimMs = accounting.interimMs;
    this.#sink = new ScriptSink(log);
    const parts = { sink: this.#sink, bootId: readBootId(), open: openJournal, log };
    this.#accounting = new Accounting(parts, accounting);
    this.#sink.onStateChange(() => this.#thread?.post("setAccounting", this.#isAccounting));
    this.#log(LOG_INFO, `reaping cgroups below ${textOf(root)}`);
    this.#sink.configure(accounting);
    const { scopes, deletionDelayMs, checkIntervalMs, unusedMs } = reaper;
    const options = { root, scopes, deletionDelayMs, checkIntervalMs, unusedMs, verbose };
    this.#supervisor = new Supervisor({
      pauses: REAPER_PAUSES,
      ranWellMs: RAN_WELL_MS,
      // `accounting` and `interimMs` may have changed since the last start.
      start: () =>
        this.#tryStartThread({
          ...options,
          accounting: this.#isAccounting,
          interimMs: this.#interimMs,
        }),
    });
    this.#supervisor.start();
  }

  /** Starts the service. If cgroup2 is not mounted, logs this and returns undefined. */
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

  /** True if an empty cgroup is deleted only when its record is in the journal. */
  get #isAccounting(): boolean {
    return this.#sink.state !== "idle";
  }

  #tryStartThread(options: ReaperOptions): void {
    try {
      this.#startThread(options);
    } catch (error) {
      // There is no free descriptor, or no thread can be created.
      this.#threadEnded(error);
    }
  }

  #startThread(options: ReaperOptions): void {
    const { intake } = this.#accounting;
    const thread = startReaperThread(options, {
      released: (releases) => {
        this.#lull.worked();
        intake.released(releases);
      },
      scanned: (populated, empty) => void intake.scanned(populated, empty),
      deleted: (releases) => intake.deleted(releases),
      kept: (releases) => intake.kept(releases),
      withdrawn: (releases) => intake.withdrawn(releases),
      interim: (records) => {
        this.#accounting.interim(records);
        thread.post(
          "journalled",
          [],
          records.reduce((sum, each) => sum + recordSize(each), 0),
        );
      },
    });
    intake.connect({
      journalled: (releases, takenBytes) => thread.post("journalled", releases, takenBytes),
    });
    this.#thread = thread;
    thread.ended.then(
      () => this.#threadEnded(undefined),
      (error: unknown) => this.#threadEnded(error),
    );
  }

  /**
   * Handles the end of the thread.
   * @param error undefined if the thread returned, as it does after `stop`
   */
  #threadEnded(error: unknown): void {
    this.#thread = undefined;
    this.#accounting.intake.disconnect();
    if (this.#supervisor.ended() !== undefined)
      this.#log(LOG_ERR, `the reaper ended, starting it again: ${explain(error)}`);
    else if (error !== undefined) this.#log(LOG_ERR, `the reaper ended: ${explain(error)}`);
  }

  /**
   * Frees memory. While handlers are running, which may go on long after the last cgroup has been
   * deleted, waits for the next lull instead.
   */
  #freeMemory(): void {
    if (this.#accounting.metrics.runningHandlers > 0) this.#lull.worked();
    else freeMemory();
  }

  /** Applies a changed configuration, and calls the script's `reload`. */
  reload(accounting: AccountingConfig): void {
    this.#accounting.configure(accounting);
    this.#sink.configure(accounting);
    this.#accounting.reloaded();
    if (accounting.interimMs !== this.#interimMs)
      this.#thread?.post("setInterim", accounting.interimMs);
    this.#interimMs = accounting.interimMs;
  }

  /** The records in the journal. */
  get records(): AccountingRecords {
    return this.#accounting.records;
  }

  /** Returns the metrics of the reaper and of accounting, and the state of journal and script. */
  async status(): Promise<CgroupMetrics> {
    // Starts to read the oldest record in the background: the disk usually answers before the
    // reaper's thread does.
    this.#accounting.oldestWaitingMs();
    const reaper = await this.#reaperStatus();
    const oldestMs = this.#accounting.oldestWaitingMs();
    const sink = this.#sink;
    return {
      reaper,
      accounting: {
        ...this.#accounting.metrics,
        oldestWaitingSeconds:
          oldestMs === undefined ? 0 : Math.max(0, (Date.now() - oldestMs) / 1000),
        hostRestarts: sink.hostRestarts,
      },
      journal: this.#accounting.journal,
      script: {
        path: sink.script,
        problem: sink.problem,
        isOutdated: sink.isOutdated,
        oldestWaitingMs: oldestMs,
        lastFailure: this.#accounting.lastFailure,
      },
    };
  }

  /**
   * Waits up to `timeoutMs` for the script of the latest configuration to be loaded. Returns why
   * the script cannot be used; undefined if it can.
   */
  async scriptProblem(timeoutMs: number): Promise<string | undefined> {
    if (await this.#sink.settled(timeoutMs)) return this.#sink.problem;
    return `it is still not loaded after ${timeoutMs / 1000} s`;
  }

  /** True if the script's file was changed after the script's process had read it. */
  get isScriptOutdated(): boolean {
    return this.#sink.isOutdated;
  }

  /**
   * Resolves when the event loop of the reaper's thread has answered; immediately if there is no
   * thread.
   */
  async ping(): Promise<void> {
    await this.#reaperStatus();
  }

  async #reaperStatus(): Promise<ReaperMetrics | undefined> {
    try {
      return await this.#thread?.request("status");
    } catch (error) {
      if (error instanceof ThreadEndedError) return undefined;
      throw error;
    }
  }

  /**
   * Waits up to `graceMs` for running handlers, deletes the cgroups whose records are in the
   * journal, and ends the reaper's thread.
   */
  async stop(graceMs: number): Promise<void> {
    this.#supervisor.stop();
    await this.#accounting.drain(graceMs);
    await Promise.all([this.#sink.stop(), this.#stopThread()]);
    await this.#accounting.close();
  }

  async #stopThread(): Promise<void> {
    const thread = this.#thread;
    thread?.post("stop");
    // `#threadEnded` logs the error.
    await thread?.ended.catch(() => undefined);
  }
}

/** Describes an error, with its stack unless it is a system error, whose message is enough. */
function explain(error: unknown): string {
  if (error === undefined) return "it returned";
  if (!(error instanceof Error)) return inOneLine(String(error));
  return inOneLine("code" in error ? error.message : (error.stack ?? error.message));
}
