/**
 * Has handlers called for the records that wait, and decides what follows. It does no I/O
 * itself: read-ahead.ts reads records through the window (journal/window.ts), settlement.ts
 * writes their states to the journal, and handlers run in the sink. repetition.ts decides when a
 * handler that failed is called again.
 *
 * Invariants:
 * - Records are handed over in the order of the journal. A record whose handler has failed goes
 *   behind the others; the halves of a list whose handler has failed go before them.
 * - At most one handler runs for a cgroup's id. The counters of a cgroup's later report include
 *   those of its earlier one. If the earlier report still waits, the later one replaces it; if the
 *   handler of the earlier report runs, the later one waits until that handler ends.
 * - A handler is called only if the sink has room for it.
 */
import type { EncodedRecord } from "@cm4all/cgroup";
import { RecordState } from "@cm4all/journal";
import { errorText } from "@cm4all/linux";
import type { Outcome } from "@cm4all/lua";
import type { AccountingPolicy } from "../../config/accounting.ts";
import type { Logger } from "../../log/log.ts";
import type { RecordWindow, WaitingRecord } from "../journal/window.ts";
import type { AccountingSink } from "../script/sink.ts";
import type { HandlerFailure } from "../terms/script-status.ts";
import { type Entry, newEntry } from "./entry.ts";
import { FailureLog } from "./failure-log.ts";
import { InterimReports } from "./interim.ts";
import { Lineup, runsAlone } from "./lineup.ts";
import type { Outage } from "./outage.ts";
import { READ_PAUSE_MS, ReadAhead } from "./read-ahead.ts";
import { Repetition } from "./repetition.ts";
import { type RecordStates, Settlement } from "./settlement.ts";
import { judge } from "./verdict.ts";

export interface QueueParts {
  readonly sink: AccountingSink;
  readonly window: Pick<RecordWindow, "read" | "readAgain" | "rewind">;
  readonly journal: RecordStates;
  /** Returns whether a record's directory still exists: the cgroup may then be reported again. */
  readonly isKept: (number: number) => boolean;
  readonly log: Logger;
  /** Returns the milliseconds of a clock that cannot be set, such as `bootTimeMs`. */
  readonly nowMs: () => number;
}

export class AccountingQueue {
  readonly #parts: QueueParts;
  readonly #lineup = new Lineup();
  readonly #settlement: Settlement;
  readonly #repetition: Repetition;
  readonly #readAhead: ReadAhead;
  readonly #failures: FailureLog;
  readonly #interim: InterimReports;
  #policy: AccountingPolicy;
  #running = 0;
  #isListRunning = false;
  #isAloneRunning = false;
  #drained: (() => void) | undefined;
  #isDraining = false;
  #retriedHandlers = 0;
  #handlerSeconds = 0;

  constructor(parts: QueueParts, policy: AccountingPolicy) {
    this.#parts = parts;
    this.#policy = policy;
    const { sink, window, log } = parts;
    const pump = () => this.#pump();
    this.#failures = new FailureLog(log);
    this.#settlement = new Settlement({ ...parts, forget: (entry) => this.#forget(entry) });
    this.#repetition = new Repetition(
      {
        ...parts,
        lineup: this.#lineup,
        park: (group, reason) => this.#settlement.park(group, reason),
        onPauseEnd: (entry) => void this.#pauseEnded(entry),
        onProbe: pump,
      },
      policy,
    );
    this.#readAhead = new ReadAhead({
      window,
      lineup: this.#lineup,
      onRead: (record) => this.#add(record),
      onDamaged: (record) => this.#settlement.parkDamaged(record),
      onFailure: (error) => this.#failures.cannotRead(error),
      onEnd: pump,
    });
    this.#interim = new InterimReports({
      sink,
      log,
      isBusy: (id) => this.#lineup.hasId(id),
      onEnded: pump,
    });
    sink.onStateChange(pump);
  }

  get counts() {
    return {
      ...this.#settlement.counts,
      failedHandlers: this.#failures.failedHandlers,
      retriedHandlers: this.#retriedHandlers,
      handlerSeconds: this.#handlerSeconds,
    };
  }

  /** The latest failure of a handler; undefined before the first. */
  get lastFailure(): HandlerFailure | undefined {
    return this.#failures.lastFailure;
  }

  /** True during an outage: no handler succeeds, and one at a time is tried. */
  get isFailing(): boolean {
    return this.#outage.isOn;
  }

  /** The number of cgroups whose handlers fail while the handlers of other cgroups succeed. */
  get failingCgroups(): number {
    return this.#repetition.failingCgroups;
  }

  get runningHandlers(): number {
    return this.#running + this.#interim.runs;
  }

  get interimReports(): number {
    return this.#interim.handedOver;
  }

  get #outage(): Outage {
    return this.#repetition.outage;
  }

  /** Changes the policy, also for records that already wait or fail. */
  configure(policy: AccountingPolicy): void {
    this.#policy = policy;
    this.#repetition.configure(policy);
    this.#pump();
  }

  /** In an outage, has a handler called immediately, because the outage may be over. */
  probe(): void {
    this.#outage.probeSoon();
  }

  /** Notes that the window may have more records. */
  wake(): void {
    this.#readAhead.wake();
    this.#pump();
  }

  /** Accepts measurements of running cgroups. */
  interim(records: readonly EncodedRecord[]): void {
    if (!this.#isDraining && !this.#outage.isOn) this.#interim.add(records, this.#policy.batch);
  }

  /** Drops the waiting interim report, if any, of a cgroup that has become empty. */
  becameEmpty(id: string): void {
    this.#interim.drop(id);
  }

  /** Returns the entry of a record; undefined if the record is not in memory. */
  find(number: number): Readonly<Entry> | undefined {
    return this.#lineup.get(number);
  }

  /**
   * Removes a record from memory; the caller then changes its state. Returns false, and removes
   * nothing, if its handler is running.
   */
  tryWithdraw(number: number): boolean {
    const entry = this.#lineup.get(number);
    if (entry?.isRunning === true) return false;
    if (entry !== undefined) this.#forget(entry);
    return true;
  }

  /** Notes that a record follows an earlier one, of the same cgroup, that was handed over. */
  follows(number: number, earlier: number): void {
    this.#settlement.follows(number, earlier);
  }

  /** Hands over all records that can be handed over now, and reads more. */
  #pump(): void {
    const { sink } = this.#parts;
    if (this.#isDraining) {
      if (this.runningHandlers === 0) this.#drained?.();
      return;
    }
    for (let group = this.#next(); group.length > 0; group = this.#next()) void this.#run(group);
    this.#interim.pump(this.#policy.batch);
    if (sink.state !== "ready") return;
    // In an outage, the records that are already in memory are tried before more are read.
    if (this.#outage.isOn && this.#lineup.ready > 0) return;
    void this.#readAhead.read(this.#policy.batch);
  }

  #next(): Entry[] {
    const { room, handlers } = this.#parts.sink;
    if (room <= 0 || this.#isAloneRunning) return [];
    if (handlers.released === "none" || this.#isListRunning) return [];
    if (this.#outage.isOn && !this.#outage.mayProbe) return [];
    const isSingle = this.#outage.isOn || handlers.released === "one";
    return this.#lineup.take(
      isSingle ? 1 : this.#policy.batch,
      (id) => this.#interim.isRunning(id),
      this.#running === 0,
    );
  }

  #add(record: WaitingRecord): void {
    // The record's state may have changed while other records were read.
    if (this.#parts.journal.state(record.number) !== RecordState.WAITING) return;
    const superseded = this.#lineup.add(newEntry(record));
    if (superseded !== undefined) this.#settlement.supersede(superseded);
  }

  async #run(group: readonly Entry[]): Promise<void> {
    const { handlers } = this.#parts.sink;
    const isProbe = this.#outage.isOn;
    if (isProbe) this.#outage.probe();
    const isList = handlers.released === "list";
    const isAlone = group.some(runsAlone);
    for (const entry of group) {
      entry.isRunning = true;
      if (entry.attempts > 0) this.#retriedHandlers++;
      entry.attempts++;
    }
    this.#running++;
    if (isList) this.#isListRunning = true;
    if (isAlone) this.#isAloneRunning = true;
    const startedMs = performance.now();
    const { outcome, hasBegun } = await this.#call(group);
    this.#handlerSeconds += (performance.now() - startedMs) / 1000;
    for (const entry of group) entry.isRunning = false;
    this.#running--;
    if (isList) this.#isListRunning = false;
    if (isAlone) this.#isAloneRunning = false;
    if (outcome.type !== "done") this.#failures.handlerFailed(group, outcome);
    if (outcome.type !== "done" && isProbe) this.#outage.probeFailed();
    this.#decide(group, outcome, handlers.bearsRepetition, hasBegun);
    this.#pump();
  }

  async #call(group: readonly Entry[]): Promise<{ outcome: Outcome; hasBegun: boolean }> {
    const { sink, journal } = this.#parts;
    const records = group.flatMap(({ record }) => (record === undefined ? [] : [record]));
    let hasBegun = false;
    // One sync of the journal writes the marks of all handlers that begin at the same time.
    const begin = async () => {
      hasBegun = true;
      await journal.begin(group.map(({ number }) => number));
    };
    try {
      const outcome = await sink.run(records, { kind: "released", begin });
      return { outcome, hasBegun };
    } catch (error) {
      const message = errorText(error);
      return { outcome: { type: "interrupted", message, effect: "none" }, hasBegun };
    }
  }

  #decide(
    group: readonly Entry[],
    outcome: Outcome,
    bearsRepetition: boolean,
    hasBegun: boolean,
  ): void {
    const circumstances = {
      retry: this.#policy.retry,
      bearsRepetition,
      count: group.length,
      isOwnFault: this.#repetition.isOwnFault(group),
    };
    const verdict = judge(outcome, circumstances);
    if (verdict.type === "settle") this.#settlement.accounted(group, hasBegun);
    else if (verdict.type === "lose") this.#settlement.lose(group);
    else if (verdict.type === "park") this.#settlement.park(group, verdict.reason);
    else {
      if (hasBegun) for (const entry of group) this.#settlement.waitsAgain(entry);
      const left = this.#withoutSuperseded(group);
      this.#repetition.repeat(left, verdict.type, outcome.type === "interrupted");
    }
    if (outcome.type === "done" || outcome.effect === "taken") {
      this.#failures.succeeded();
      this.#repetition.succeeded();
    }
  }

  #forget(entry: Entry): void {
    this.#settlement.forget(entry);
    this.#repetition.forget(entry);
    this.#lineup.remove(entry);
  }

  /** Settles the records for which later reports have come in the meantime; returns the others. */
  #withoutSuperseded(group: readonly Entry[]): Entry[] {
    const superseded = group.filter(({ successor }) => successor !== undefined);
    for (const entry of superseded) this.#settlement.supersede(entry);
    return group.filter((entry) => !superseded.includes(entry));
  }

  async #pauseEnded(entry: Entry): Promise<void> {
    try {
      entry.record ??= await this.#parts.window.readAgain(entry.number);
    } catch (error) {
      this.#readAhead.failed(error);
      this.#repetition.pauseAgain(entry, READ_PAUSE_MS);
      return;
    }
    if (entry.record === undefined) this.#forgetUnread(entry);
    else this.#lineup.putBack([entry]);
    this.#pump();
  }

  /** Forgets a record that could not be read again; if it is damaged, the next read parks it. */
  #forgetUnread(entry: Entry): void {
    const { window, journal } = this.#parts;
    this.#forget(entry);
    if (journal.state(entry.number) !== RecordState.WAITING) return;
    window.rewind(entry.number);
    this.#readAhead.wake();
  }

  /** Stops calling handlers, and waits up to `timeoutMs` for those that run. */
  async drain(timeoutMs: number): Promise<void> {
    this.#isDraining = true;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, timeoutMs);
      this.#drained = () => {
        clearTimeout(timer);
        resolve();
      };
      this.#pump();
    });
  }

  /** Ends all pauses. */
  close(): void {
    this.#repetition.close();
    this.#readAhead.close();
  }
}
