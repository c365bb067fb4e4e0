/**
 * Has handlers called for the records that wait, and decides what follows. It does no I/O
 * itself: records come from the window, states go to the journal, handlers run in the sink.
 *
 * Invariants:
 * - Records are handed over in the order of the journal; one whose handler has failed goes
 *   behind the others.
 * - At most one handler runs for a cgroup's id: a later report, whose counters include the
 *   earlier one's, takes the place of one that waits, and waits for one that runs.
 * - A record leaves the journal when its handler has returned; verdict.ts has the rules for
 *   those that fail.
 * - How many handlers may run is the sink's business alone.
 */
import type { EncodedRecord } from "@cm4all/cgroup";
import { RecordState } from "@cm4all/journal";
import { errorText } from "@cm4all/linux";
import type { Outcome } from "@cm4all/lua";
import { inOneLine, LOG_ERR, LOG_NOTICE, type Logger } from "../../log.ts";
import type { DamagedRecord, RecordWindow } from "../journal/window.ts";
import type { AccountingSink } from "../script/sink.ts";
import type { AccountingPolicy } from "../terms/policy.ts";
import type { HandlerFailure } from "../terms/script-status.ts";
import { type Entry, nameOf, newEntry } from "./entry.ts";
import { FailingRecords } from "./failing.ts";
import { InterimReports } from "./interim.ts";
import { Lineup, runsAlone } from "./lineup.ts";
import { Outage } from "./outage.ts";
import { judge } from "./verdict.ts";

/** What the queue asks of the journal. */
export interface RecordStates {
  state(number: number): RecordState | undefined;
  /** @throws (rejects) once the journal is closed: the next start decides then */
  mark(number: number, state: RecordState, note?: string): Promise<void>;
  /** Marks records as begun. @throws (rejects) also if the disk does not take it soon */
  begin(numbers: readonly number[]): Promise<void>;
}

export interface QueueParts {
  readonly sink: AccountingSink;
  readonly window: Pick<RecordWindow, "read" | "readAgain">;
  readonly journal: RecordStates;
  /** Whether the directory of a record is there: then its cgroup may be reported again. */
  readonly isKept: (number: number) => boolean;
  readonly log: Logger;
  /** Milliseconds of a clock that never jumps. */
  readonly nowMs: () => number;
}

/** How many records are read ahead. */
const CAPACITY = 1000;

/** None are read ahead while those that were are as large as this. */
const CAPACITY_BYTES = 4 * 1024 * 1024;

/** Of a reason, what stands in the journal. */
const MAX_NOTE = 1000;

/** After a record could not be read. */
const READ_PAUSE_MS = 1000;

export class AccountingQueue {
  readonly #parts: QueueParts;
  readonly #lineup = new Lineup();
  readonly #failing = new FailingRecords((entry) => void this.#pauseEnded(entry));
  readonly #outage = new Outage(() => this.#pump());
  readonly #interim: InterimReports;
  #policy: AccountingPolicy;
  /** By its number, for a report that came while an earlier one was handed over: that one. */
  readonly #earlier = new Map<number, number>();
  #running = 0;
  #isListRunning = false;
  #isAloneRunning = false;
  #isReading = false;
  /** Whether there may be more in the window. */
  #mayBeMore = true;
  #readPause: NodeJS.Timeout | undefined;
  #lastSuccessMs = Number.NEGATIVE_INFINITY;
  /** The one that has failed last since the last success. */
  #lastFailed: Entry | undefined;
  #loggedError: string | undefined;
  /** The latest failure of a handler; undefined before the first. */
  lastFailure: HandlerFailure | undefined;
  #drained: (() => void) | undefined;
  #isDraining = false;
  readonly counts = {
    accountedCgroups: 0,
    supersededReports: 0,
    failedHandlers: 0,
    retriedHandlers: 0,
    lostCgroups: 0,
    handlerSeconds: 0,
  };

  constructor(parts: QueueParts, policy: AccountingPolicy) {
    this.#parts = parts;
    this.#policy = policy;
    this.#interim = new InterimReports({
      sink: parts.sink,
      log: parts.log,
      isBusy: (id) => this.#lineup.hasId(id),
      onEnded: () => this.#pump(),
    });
    parts.sink.onStateChange(() => this.#pump());
  }

  /** Whether no handler succeeds, so that one at a time is tried. */
  get isFailing(): boolean {
    return this.#outage.isOn;
  }

  /** How many cgroups have handlers that fail while those of others succeed. */
  get failingCgroups(): number {
    return this.#failing.size;
  }

  get runningHandlers(): number {
    return this.#running + this.#interim.runs;
  }

  get interimReports(): number {
    return this.#interim.handedOver;
  }

  configure(policy: AccountingPolicy): void {
    this.#policy = policy;
    if (!policy.retry) this.#outage.end();
    this.#pump();
  }

  /** Whatever made handlers fail may be mended: one is tried at once. */
  probe(): void {
    this.#outage.probeSoon();
  }

  /** There may be more in the window. */
  wake(): void {
    this.#mayBeMore = true;
    this.#pump();
  }

  /** Takes over what was measured of running cgroups. */
  interim(records: readonly EncodedRecord[]): void {
    if (!this.#isDraining && !this.#outage.isOn) this.#interim.add(records, this.#policy.batch);
  }

  /** A cgroup has run empty: no interim report of it may be handed over any more. */
  ranEmpty(id: string): void {
    this.#interim.drop(id);
  }

  /** Returns what is known of a record that is in memory. */
  find(number: number): Readonly<Entry> | undefined {
    return this.#lineup.get(number);
  }

  /** Forgets a record, to which the caller gives another state. Returns false if its handler runs. */
  tryWithdraw(number: number): boolean {
    const entry = this.#lineup.get(number);
    if (entry?.isRunning === true) return false;
    if (entry !== undefined) this.#remove(entry);
    return true;
  }

  /** A record is a report of the cgroup of an earlier one, which was handed over. */
  follows(number: number, earlier: number): void {
    this.#earlier.set(number, earlier);
  }

  /** Hands over what can be. */
  #pump(): void {
    if (this.#isDraining) {
      if (this.runningHandlers === 0) this.#drained?.();
      return;
    }
    for (let group = this.#next(); group.length > 0; group = this.#next()) void this.#run(group);
    this.#interim.pump(this.#policy.batch);
    void this.#read();
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

  /** Reads on, so that there is enough to hand over. */
  async #read(): Promise<void> {
    const capacity = Math.max(CAPACITY, 2 * this.#policy.batch);
    const { ready } = this.#lineup;
    if (this.#isReading || !this.#mayBeMore || ready > capacity / 2) return;
    if (this.#parts.sink.state !== "ready" || this.#isDraining) return;
    // In an outage it is those that are in memory already which are tried.
    if (this.#outage.isOn && ready > 0) return;
    if (this.#lineup.readyBytes > CAPACITY_BYTES) return;
    this.#isReading = true;
    this.#mayBeMore = false;
    try {
      const isTaken = (number: number) => this.#lineup.get(number) !== undefined;
      const { records, damaged } = await this.#parts.window.read(capacity - ready, isTaken);
      if (records.length + damaged.length > 0) this.#mayBeMore = true;
      for (const each of damaged) this.#parkDamaged(each);
      for (const record of records) this.#add(newEntry(record));
    } catch (error) {
      this.#cannotRead(error);
    }
    this.#isReading = false;
    this.#pump();
  }

  #parkDamaged({ number, reason }: DamagedRecord): void {
    this.#parts.log(LOG_ERR, `a record of the journal is parked: ${reason}`);
    this.#mark(number, RecordState.PARKED, reason);
  }

  #cannotRead(error: unknown): void {
    const reason = `cannot read the journal: ${errorText(error)}`;
    if (reason !== this.#loggedError) this.#parts.log(LOG_ERR, reason);
    this.#loggedError = reason;
    this.#readPause = setTimeout(() => this.wake(), READ_PAUSE_MS);
  }

  #add(entry: Entry): void {
    // Something may have happened to it while others were read.
    if (this.#parts.journal.state(entry.number) !== RecordState.WAITING) return;
    const superseded = this.#lineup.add(entry);
    if (superseded !== undefined) this.#supersede(superseded);
  }

  #supersede(entry: Entry): void {
    this.counts.supersededReports++;
    this.#settle(entry, RecordState.GONE);
  }

  async #run(group: readonly Entry[]): Promise<void> {
    const { handlers } = this.#parts.sink;
    const isProbe = this.#outage.isOn;
    if (isProbe) this.#outage.probe();
    const isList = handlers.released === "list";
    const isAlone = group.some(runsAlone);
    for (const entry of group) {
      entry.isRunning = true;
      if (entry.attempts > 0) this.counts.retriedHandlers++;
      entry.attempts++;
    }
    this.#running++;
    if (isList) this.#isListRunning = true;
    if (isAlone) this.#isAloneRunning = true;
    const startedMs = performance.now();
    const { outcome, hasBegun } = await this.#call(group);
    this.counts.handlerSeconds += (performance.now() - startedMs) / 1000;
    for (const entry of group) entry.isRunning = false;
    this.#running--;
    if (isList) this.#isListRunning = false;
    if (isAlone) this.#isAloneRunning = false;
    if (outcome.type !== "done") this.#noteFailure(group, outcome);
    if (outcome.type !== "done" && isProbe) this.#outage.failed();
    this.#decide(group, outcome, handlers.bearsRepetition, hasBegun);
    this.#pump();
  }

  async #call(group: readonly Entry[]): Promise<{ outcome: Outcome; hasBegun: boolean }> {
    const { sink, journal } = this.#parts;
    const records = group.flatMap(({ record }) => (record === undefined ? [] : [record]));
    let hasBegun = false;
    /** One sync serves all that ask. */
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
    // Others have succeeded since they failed: then it is them.
    const isOwnFault = group.some(
      ({ lastFailedMs }) => (lastFailedMs ?? Infinity) < this.#lastSuccessMs,
    );
    const circumstances = {
      retry: this.#policy.retry,
      bearsRepetition,
      count: group.length,
      isOwnFault,
    };
    const verdict = judge(outcome, circumstances);
    if (verdict.type === "settle") this.#accounted(group);
    else if (verdict.type === "lose") this.#lose(group);
    else if (verdict.type === "park") this.#park(group, verdict.reason);
    else {
      if (hasBegun) for (const { number } of group) this.#mark(number, RecordState.WAITING);
      this.#repeat(this.#withoutSuperseded(group), verdict.type, outcome.type === "interrupted");
    }
    if (outcome.type === "done" || outcome.effect === "taken") this.#worked();
  }

  #accounted(group: readonly Entry[]): void {
    this.counts.accountedCgroups += group.length;
    for (const entry of group)
      this.#settle(entry, this.#isRemembered(entry) ? RecordState.ACCOUNTED : RecordState.GONE);
  }

  /** Whether a later report, or who retries an earlier one, will have to know of it. */
  #isRemembered({ number }: Entry): boolean {
    const { journal, isKept } = this.#parts;
    const earlier = this.#earlier.get(number);
    return (
      isKept(number) || (earlier !== undefined && journal.state(earlier) === RecordState.PARKED)
    );
  }

  #lose(group: readonly Entry[]): void {
    this.counts.lostCgroups += group.length;
    for (const entry of group) this.#settle(entry, RecordState.GONE);
  }

  #park(group: readonly Entry[], reason: string): void {
    this.#parts.log(LOG_ERR, `${nameOf(group)}: parked, see "cm4all-spawn accounting": ${reason}`);
    for (const entry of group) this.#settle(entry, RecordState.PARKED, reason.slice(0, MAX_NOTE));
  }

  /** Nothing more is done for a record, unless it is retried. */
  #settle(entry: Entry, state: RecordState, note?: string): void {
    this.#remove(entry);
    this.#mark(entry.number, state, note);
  }

  #remove(entry: Entry): void {
    this.#earlier.delete(entry.number);
    this.#failing.remove(entry);
    this.#lineup.remove(entry);
  }

  #mark(number: number, state: RecordState, note?: string): void {
    this.#parts.journal.mark(number, state, note).catch(() => {
      // The journal is closed: the next start finds the record as it was.
    });
  }

  /** Later reports have come while the handlers of some ran. */
  #withoutSuperseded(group: readonly Entry[]): Entry[] {
    const superseded = group.filter(({ successor }) => successor !== undefined);
    for (const entry of superseded) this.#supersede(entry);
    return group.filter((entry) => !superseded.includes(entry));
  }

  #repeat(group: readonly Entry[], how: "wait" | "halve" | "pause", isInterrupted: boolean): void {
    const now = this.#parts.nowMs();
    for (const entry of group) {
      entry.lastFailedMs = now;
      if (isInterrupted) entry.interruptions++;
    }
    const [first] = group;
    if (how !== "wait" && group.length === 1 && first !== undefined) this.#pause(first, now);
    else if (how === "halve" && !this.#outage.isOn) this.#lineup.halve(group);
    else this.#lineup.putBack(group);
    if (how === "wait") this.#beginOutage();
  }

  #pause(entry: Entry, now: number): void {
    if (this.#lastFailed !== undefined && this.#lastFailed !== entry) this.#beginOutage();
    this.#lastFailed = entry;
    entry.failures++;
    const sinceMs = entry.failedSinceMs ?? now;
    entry.failedSinceMs = this.#outage.isOn ? undefined : sinceMs;
    const leftMs = sinceMs + this.#policy.maxAgeMs - now;
    // As long as nothing else succeeds it need not be its fault.
    if (leftMs <= 0 && !this.#outage.isOn && this.#lastSuccessMs > sinceMs)
      this.#park([entry], `its handler has failed ${entry.attempts} times: ${entry.lastError}`);
    else this.#failing.pause(entry, leftMs > 0 ? leftMs : Infinity);
    this.#boundFailing();
  }

  #boundFailing(): void {
    while (this.#failing.size > this.#policy.maxWaiting && !this.#outage.isOn) {
      const oldest = this.#failing.oldest();
      if (oldest === undefined) return;
      this.#park([oldest], `the handlers of more than ${this.#policy.maxWaiting} cgroups fail`);
    }
  }

  async #pauseEnded(entry: Entry): Promise<void> {
    try {
      entry.record ??= await this.#parts.window.readAgain(entry.number);
    } catch (error) {
      this.#cannotRead(error);
      this.#failing.pause(entry, READ_PAUSE_MS);
      return;
    }
    if (entry.record === undefined) this.#remove(entry);
    else this.#lineup.putBack([entry]);
    this.#pump();
  }

  #beginOutage(): void {
    if (this.#outage.isOn) return;
    const pauseMs = this.#outage.failed();
    const next = `one is tried in ${pauseMs / 1000} s, and again later`;
    this.#parts.log(LOG_NOTICE, `no handler succeeds: ${next}`);
    this.#lineup.joinParts();
  }

  /** Handlers can succeed. */
  #worked(): void {
    this.#lastSuccessMs = this.#parts.nowMs();
    this.#lastFailed = undefined;
    this.#loggedError = undefined;
    if (!this.#outage.isOn) return;
    this.#outage.end();
    this.#failing.forgive();
    this.#parts.log(LOG_NOTICE, "handlers succeed again");
  }

  /** Once: an outage of the database fails each handler again and again. */
  #noteFailure(group: readonly Entry[], outcome: Exclude<Outcome, { type: "done" }>): void {
    this.counts.failedHandlers++;
    const { message } = outcome;
    this.lastFailure = { cgroup: nameOf(group), message, failedMs: Date.now() };
    const traceback = outcome.type === "failed" ? outcome.traceback : undefined;
    const isKnown = group.every(({ lastError }) => lastError === message);
    if (!isKnown && message !== this.#loggedError)
      this.#parts.log(LOG_ERR, `${nameOf(group)}: ${inOneLine(message, traceback)}`);
    this.#loggedError = message;
    for (const entry of group) entry.lastError = message;
  }

  /** Calls no handlers any more, and waits for those that run, at most `timeoutMs`. */
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
    this.#outage.end();
    this.#failing.close();
    clearTimeout(this.#readPause);
  }
}
