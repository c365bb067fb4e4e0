/**
 * Owns the journal of the daemon: tries to open it until that succeeds, and to append a record
 * until the journal takes it. A fault is logged when it begins and when it ends.
 */
import {
  type Journal,
  JournalClosed,
  JournalError,
  JournalFull,
  RecordState,
} from "@cm4all/journal";
import { errorText } from "@cm4all/linux";
import type { JournalConfig } from "../../config/accounting.ts";
import { LOG_ERR, LOG_NOTICE, LOG_WARNING, type Logger } from "../../log/log.ts";
import type { JournalGauges, JournalState } from "../terms/metrics.ts";
import type { OpenJournal } from "./open-journal.ts";

/** The pause between two attempts to open the journal. */
const OPEN_PAUSE_MS = 10_000;
/** The pause between two attempts to append a record. */
const APPEND_PAUSE_MS = 1000;
/** A handler fails if it has waited this long for a disk that refuses writes. */
const BEGIN_MS = 5000;

/**
 * Above the first of these shares of its limit, the journal is nearly full; below the second, it
 * has room again.
 */
const NEARLY_FULL = 0.9;
const FAR_FROM_FULL = 0.8;

/** Opens the journal. The caller closes it. @throws (rejects) if it cannot be opened now */
export type OpenJournalAt = (config: JournalConfig) => Promise<OpenJournal>;

/** The journal, as `cm4all-spawn status` shows it. */
export interface JournalStatus {
  readonly path: string;
  /** See OpenJournal. */
  readonly forgetful?: string | undefined;
  /** Why the journal takes no records. */
  readonly problem?: string | undefined;
}

export class JournalStore {
  readonly #path: string;
  readonly #open: OpenJournalAt;
  readonly #log: Logger;
  #limitBytes: number;
  #opened: OpenJournal | undefined;
  readonly #opening: Promise<Journal>;
  #openProblem: string | undefined;
  #diskProblem: string | undefined;
  #fullProblem: string | undefined;
  #isNearlyFull = false;
  /** Names of the files that have been found damaged since the journal was opened. */
  readonly #damaged = new Set<string>();
  #isClosed = false;
  /** The functions that end the current pauses, which are called when the store is closed. */
  readonly #pauses = new Set<() => void>();

  /** Starts to open the journal. */
  constructor({ directory, limitBytes }: JournalConfig, open: OpenJournalAt, log: Logger) {
    this.#path = directory;
    this.#limitBytes = limitBytes;
    this.#open = open;
    this.#log = log;
    this.#opening = this.#openUntilItWorks();
    // Callers that await the promise handle the error.
    this.#opening.catch(() => undefined);
  }

  /**
   * Resolves when the journal is open.
   * @throws JournalClosed (rejects) if the store closes first
   */
  get whenOpen(): Promise<Journal> {
    return this.#opening;
  }

  /** The journal; undefined until it is open. */
  get journal(): Journal | undefined {
    return this.#opened?.journal;
  }

  get #problem(): string | undefined {
    return this.#openProblem ?? this.#diskProblem ?? this.#fullProblem;
  }

  get status(): JournalStatus {
    return { path: this.#path, forgetful: this.#opened?.forgetful, problem: this.#problem };
  }

  get gauges(): JournalGauges {
    const { journal } = this;
    const count = (state: RecordState) => journal?.count(state) ?? 0;
    return {
      waitingCgroups:
        count(RecordState.WAITING) + count(RecordState.BEGAN) + count(RecordState.REPLACED),
      begunCgroups: count(RecordState.BEGAN),
      parkedCgroups: count(RecordState.PARKED),
      journal: this.#state,
      journalRecords: journal?.live ?? 0,
      damagedFiles: this.#damaged.size,
      journalBytes: journal?.bytes ?? 0,
      journalLimitBytes: this.#limitBytes,
    };
  }

  get #state(): JournalState {
    if (this.#opened === undefined)
      return this.#openProblem === undefined ? "opening" : "unavailable";
    if (this.#diskProblem !== undefined) return "failing";
    return this.#fullProblem === undefined ? "ready" : "full";
  }

  /** Changes the size limit of the journal. */
  configure(limitBytes: number): void {
    this.#limitBytes = limitBytes;
    if (this.#opened !== undefined) this.#opened.journal.limitBytes = limitBytes;
  }

  /**
   * Appends a record, and returns its number when it is on the disk. Retries until the journal
   * takes it, however long that takes.
   * @param isWanted called before each attempt; if it returns false, `append` returns undefined
   * @throws JournalClosed (rejects): the record may or may not be in the journal
   */
  async append(payload: Buffer, isWanted: () => boolean): Promise<number | undefined> {
    const journal = await this.whenOpen;
    for (;;) {
      if (this.#isClosed) throw notOpen();
      if (!isWanted()) return undefined;
      try {
        const number = await journal.append(payload);
        this.#appended(journal);
        return number;
      } catch (error) {
        if (!(error instanceof JournalError) || error instanceof JournalClosed) throw error;
        if (error instanceof JournalFull) this.#isFull(error);
        // Errors of the disk are reported through `onTrouble`.
      }
      await this.#pause(APPEND_PAUSE_MS);
    }
  }

  #isFull(error: JournalFull): void {
    if (this.#fullProblem === undefined)
      this.#log(LOG_ERR, `${this.#path}: cgroups' directories stay: ${error.message}`);
    this.#fullProblem = error.message;
  }

  #appended({ bytes }: Journal): void {
    if (bytes < this.#limitBytes * FAR_FROM_FULL) this.#hasRoom();
    else if (bytes > this.#limitBytes * NEARLY_FULL) this.#fillsUp(bytes);
  }

  #hasRoom(): void {
    if (this.#fullProblem !== undefined)
      this.#log(LOG_NOTICE, `${this.#path}: the journal has room again`);
    this.#fullProblem = undefined;
    this.#isNearlyFull = false;
  }

  #fillsUp(bytes: number): void {
    if (this.#isNearlyFull) return;
    this.#isNearlyFull = true;
    const mib = (size: number) => (size / 2 ** 20).toFixed(0);
    const share = `${mib(bytes)} of ${mib(this.#limitBytes)} MiB`;
    this.#log(LOG_WARNING, `${this.#path}: the journal is filling up: ${share}, see journal_mib`);
  }

  /** Returns the state of a record; undefined if there is no record with this number. */
  state(number: number): RecordState | undefined {
    return this.journal?.state(number);
  }

  /** Sets the state of a record immediately; see Journal.mark. @throws JournalClosed (rejects) */
  mark(number: number, state: RecordState, note?: string): Promise<void> {
    // A caller has the number from the journal, so the journal has been opened.
    return this.journal?.mark(number, state, note) ?? Promise.reject(notOpen());
  }

  /** Sets the state of a record soon; see Journal.markLater. @throws JournalClosed (rejects) */
  markLater(number: number, state: RecordState): Promise<void> {
    return this.journal?.markLater(number, state) ?? Promise.reject(notOpen());
  }

  /**
   * Marks records as begun, and resolves when the marks are on the disk.
   * @throws JournalClosed; Error with the reason if the disk goes on refusing writes (both reject)
   */
  async begin(numbers: readonly number[]): Promise<void> {
    const marks = Promise.all(numbers.map((number) => this.mark(number, RecordState.BEGAN)));
    let timer: NodeJS.Timeout | undefined;
    const refusal = new Promise<never>((_, reject) => {
      timer = setInterval(() => {
        if (this.#diskProblem === undefined) return;
        reject(new Error(`the journal ${this.#path} cannot be written: ${this.#diskProblem}`));
      }, BEGIN_MS);
    });
    try {
      await Promise.race([marks, refusal]);
    } finally {
      clearInterval(timer);
    }
  }

  async #openUntilItWorks(): Promise<Journal> {
    while (!this.#isClosed) {
      try {
        const opened = await this.#open({ directory: this.#path, limitBytes: this.#limitBytes });
        if (!this.#isClosed) return this.#hasOpened(opened);
        await opened.close();
      } catch (error) {
        this.#cannotOpen(errorText(error));
      }
      await this.#pause(OPEN_PAUSE_MS);
    }
    throw notOpen();
  }

  #cannotOpen(reason: string): void {
    if (this.#openProblem !== reason)
      this.#log(
        LOG_ERR,
        `${this.#path}: cannot open the journal, cgroups' directories stay: ${reason}`,
      );
    this.#openProblem = reason;
  }

  #hasOpened(opened: OpenJournal): Journal {
    this.#opened = opened;
    const { journal, forgetful } = opened;
    if (this.#openProblem !== undefined)
      this.#log(LOG_NOTICE, `${this.#path}: the journal is open`);
    this.#openProblem = undefined;
    if (forgetful !== undefined)
      this.#log(
        LOG_WARNING,
        `${this.#path} is on ${forgetful}: what waits there may be lost at a restart`,
      );
    journal.onDamage = ({ file, what }) => {
      this.#damaged.add(file);
      this.#log(LOG_ERR, `${this.#path}/${file}: ${what}; the file is kept`);
    };
    for (const each of journal.damage) journal.onDamage(each);
    journal.onStuck = (file, reason) =>
      this.#log(LOG_WARNING, `${this.#path}/${file}: its space cannot be freed: ${reason}`);
    journal.limitBytes = this.#limitBytes;
    journal.onTrouble = (error) => this.#diskSays(error);
    if (journal.lastError !== undefined) this.#diskSays(journal.lastError);
    return journal;
  }

  #diskSays(error: string | undefined): void {
    if (error === undefined)
      this.#log(LOG_NOTICE, `${this.#path}: the journal takes records again`);
    else if (this.#diskProblem === undefined)
      this.#log(
        LOG_ERR,
        `${this.#path}: cannot write the journal, cgroups' directories stay: ${error}`,
      );
    this.#diskProblem = error;
  }

  async #pause(ms: number): Promise<void> {
    if (this.#isClosed) return;
    await new Promise<void>((resolve) => {
      const end = () => {
        clearTimeout(timer);
        this.#pauses.delete(end);
        resolve();
      };
      const timer = setTimeout(end, ms);
      this.#pauses.add(end);
    });
  }

  /** Writes pending records and marks, if the disk takes them, and closes the journal. */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const end of [...this.#pauses]) end();
    await this.#opened?.close();
  }
}

function notOpen(): JournalClosed {
  return new JournalClosed("the journal is not open");
}
