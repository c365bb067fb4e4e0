/**
 * Wires the parts of accounting together, from a cgroup that has become empty to its handler:
 * intake, journal, queue and script.
 */
import type { EncodedRecord } from "@cm4all/cgroup";
import { amountIs } from "@cm4all/command";
import { type Journal, RecordState } from "@cm4all/journal";
import { errorText } from "@cm4all/linux";
import type { AccountingConfig } from "../config/accounting.ts";
import { LOG_ERR, LOG_INFO, LOG_NOTICE, LOG_WARNING, type Logger } from "../log/log.ts";
import { AccountingQueue } from "./handlers/queue.ts";
import { Intake } from "./intake/intake.ts";
import { findByIds } from "./journal/journal-lookup.ts";
import { type JournalStatus, JournalStore, type OpenJournalAt } from "./journal/journal-store.ts";
import { OldestWaiting } from "./journal/oldest-waiting.ts";
import { INTERRUPTED, recover } from "./journal/recovery.ts";
import { UnreadableRecords } from "./journal/unreadable.ts";
import { RecordWindow } from "./journal/window.ts";
import type { AccountingSink, SinkState } from "./script/sink.ts";
import { bootTimeMs } from "./terms/boot.ts";
import type { QueueMetrics } from "./terms/metrics.ts";
import type { AccountingRecords } from "./terms/records.ts";
import type { HandlerFailure } from "./terms/script-status.ts";
import { DaemonRecords } from "./view/daemon-records.ts";

/** The pause after a failed attempt to read the records of an earlier run. */
const RECOVERY_PAUSE_MS = 10_000;

export interface AccountingParts {
  readonly sink: AccountingSink;
  readonly bootId: string;
  readonly open: OpenJournalAt;
  readonly log: Logger;
}

/**
 * Writes a record of each cgroup that has become empty into the journal, and has the script's
 * handlers called for these records.
 */
export class Accounting {
  readonly #sink: AccountingSink;
  readonly #log: Logger;
  readonly #bootId: string;
  readonly #store: JournalStore;
  readonly #unreadable: UnreadableRecords;
  readonly #window: RecordWindow;
  readonly #queue: AccountingQueue;
  readonly #records: DaemonRecords;
  readonly #oldestWaiting = new OldestWaiting();
  /** Takes the releases that the reaper's threads send. */
  readonly intake: Intake;
  #config: AccountingConfig;
  /** Resolves when records can be handed over. */
  readonly #recovered: Promise<Journal>;
  #lostBefore = 0;
  #lastState: SinkState | undefined;
  /**
   * True once there is a handler or one is expected. Undefined before that; it becomes undefined
   * again when a script is loaded after a period without a handler.
   */
  #isPromised: true | undefined;

  /** Starts opening the journal, and reading what an earlier run left in it. */
  constructor({ sink, bootId, open, log }: AccountingParts, config: AccountingConfig) {
    this.#sink = sink;
    this.#log = log;
    this.#bootId = bootId;
    this.#config = config;
    this.#store = new JournalStore(config.journal, open, log);
    this.#unreadable = new UnreadableRecords(log, (number) => {
      // During the pause, an administrator may have decided on the record.
      if (this.#store.state(number) !== RecordState.WAITING) this.#unreadable.remove(number);
      this.#window.rewind(number);
      this.#queue.wake();
    });
    this.#window = new RecordWindow({
      bootId,
      isHeld: (number) => this.intake.isHeld(number),
      unreadable: this.#unreadable,
    });
    const parts = { store: this.#store, window: this.#window, log };
    const isKept = (number: number) => this.intake.isKept(number);
    this.#queue = new AccountingQueue(
      { sink, window: this.#window, journal: this.#store, isKept, log, nowMs: bootTimeMs },
      config.policy,
    );
    const rewind = (number: number) => {
      this.#window.rewind(number);
      this.#oldestWaiting.rewind(number);
    };
    this.#records = new DaemonRecords({ ...parts, window: { rewind }, queue: this.#queue });
    const find = async (ids: ReadonlySet<string>) => findByIds(await this.#recovered, ids);
    this.intake = new Intake({ ...parts, queue: this.#queue, find });
    this.#recovered = this.#recover();
    // Callers that await the promise handle the error.
    this.#recovered.catch(() => undefined);
    sink.onStateChange(() => this.#stateChanged(sink.state));
  }

  get records(): AccountingRecords {
    return this.#records;
  }

  get journal(): JournalStatus {
    return this.#store.status;
  }

  /** The latest failure of a handler; undefined before the first. */
  get lastFailure(): HandlerFailure | undefined {
    return this.#queue.lastFailure;
  }

  /**
   * Returns the time at which the oldest waiting record was measured, in milliseconds since 1970;
   * undefined if none waits or the record cannot be read. The record is read in the background:
   * see OldestWaiting.
   */
  oldestWaitingMs(): number | undefined {
    return this.#oldestWaiting.measuredMs(this.#store.journal);
  }

  get metrics(): QueueMetrics {
    const { counts } = this.#queue;
    return {
      script: this.#sink.state,
      handlers: this.#queue.isFailing ? "failing" : "succeeding",
      failingCgroups: this.#queue.failingCgroups,
      runningHandlers: this.#queue.runningHandlers,
      runningHandlersLimit: this.#config.policy.maxRunning,
      interimReports: this.#queue.interimReports,
      ...this.#store.gauges,
      unreadableRecords: this.#unreadable.size,
      ...counts,
      ...this.intake.counts,
      supersededReports: counts.supersededReports + this.intake.counts.supersededReports,
      lostCgroups:
        counts.lostCgroups +
        this.intake.counts.lostCgroups +
        this.#records.dropped +
        this.#lostBefore,
    };
  }

  /** Hands the measurements of running cgroups to the script. */
  interim(records: readonly EncodedRecord[]): void {
    this.#queue.interim(records.filter(({ id }) => !this.intake.hasBecomeEmpty(id)));
  }

  /** Decides on the records that an earlier run left. @throws JournalClosed (rejects) */
  async #recover(): Promise<Journal> {
    const journal = await this.#store.whenOpen;
    for (let lastReason = ""; ; ) {
      try {
        const { retry } = this.#config.policy;
        const options = { bootId: this.#bootId, retry };
        const { parked, doubtful, lost, following } = await recover(journal, options);
        this.#lostBefore = lost;
        if (parked > 0)
          this.#log(LOG_WARNING, `${amountIs(parked, "cgroup")} parked: ${INTERRUPTED}`);
        if (doubtful > 0)
          this.#log(LOG_WARNING, `${amountIs(doubtful, "cgroup")} parked: the journal is damaged`);
        if (lost > 0) this.#log(LOG_WARNING, `${amountIs(lost, "cgroup")} lost: ${INTERRUPTED}`);
        for (const [number, earlier] of following) this.#queue.follows(number, earlier);
        this.#window.open(journal);
        this.#queue.wake();
        if (this.#sink.state === "idle") this.#logWaiting();
        return journal;
      } catch (error) {
        const reason = `cannot read the journal: ${errorText(error)}`;
        if (reason !== lastReason) this.#log(LOG_ERR, reason);
        lastReason = reason;
        await new Promise((resolve) => setTimeout(resolve, RECOVERY_PAUSE_MS));
      }
    }
  }

  /**
   * Follows the state of the script. Cgroups are deleted without accounting only if it turns out
   * that there is no handler and none was expected. If the state becomes `idle` after there was a
   * handler, releases that still arrive are accounted; but once the reaper knows of the change,
   * it sends only the releases of cgroups that its thread found empty at startup.
   */
  #stateChanged(state: SinkState): void {
    const last = this.#lastState;
    this.#lastState = state;
    if (state === last) return;
    if (state === "ready" || state === "down") this.#setPromised(true);
    else if (state === "starting" && last === "idle") this.#setPromised(undefined);
    else if (state === "idle") {
      if (this.#isPromised === undefined) this.intake.setAccounting(false);
      this.#logIdle();
    }
  }

  #setPromised(isPromised: true | undefined): void {
    this.#isPromised = isPromised;
    this.intake.setAccounting(isPromised);
  }

  #logIdle(): void {
    this.#log(LOG_INFO, "there is no handler: cgroups are logged and deleted, and not accounted");
    this.#logWaiting();
  }

  #logWaiting(): void {
    const { waitingCgroups } = this.#store.gauges;
    if (waitingCgroups > 0)
      this.#log(
        LOG_WARNING,
        `${amountIs(waitingCgroups, "cgroup")} waiting until there is a handler`,
      );
  }

  /** Applies a changed configuration. The caller configures the sink. */
  configure(config: AccountingConfig): void {
    this.#config = config;
    this.#store.configure(config.journal.limitBytes);
    this.#queue.configure(config.policy);
  }

  /** Ends the pause in an outage, because the script or its script host is being replaced. */
  reloaded(): void {
    this.#queue.probe();
  }

  /** Stops calling handlers, and waits up to `graceMs` for those that are running. */
  async drain(graceMs: number): Promise<void> {
    await this.#queue.drain(graceMs);
  }

  /** Closes the journal. No method may be called after this. */
  async close(): Promise<void> {
    this.#queue.close();
    this.#unreadable.close();
    const { waitingCgroups } = this.#store.gauges;
    if (waitingCgroups > 0)
      this.#log(LOG_NOTICE, `${amountIs(waitingCgroups, "cgroup")} waiting for the next start`);
    await this.#store.close();
  }
}
