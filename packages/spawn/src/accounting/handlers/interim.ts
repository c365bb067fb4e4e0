/**
 * Hands reports of running cgroups to the script. They are not journalled: a report that cannot
 * be handed over soon is dropped, since the next one includes its figures.
 *
 * Invariant: no report is handed over for a cgroup that has become empty, or while another handler
 * of the cgroup runs or is to run for a record in memory. A report may overtake a record that has
 * not been read yet (of a cgroup whose directory could not be deleted, and that runs again). This
 * is harmless, because only handlers that tolerate calls out of order get reports.
 */
import { type EncodedRecord, recordSize } from "@cm4all/cgroup";
import { inOneLine } from "@cm4all/command";
import { errorText } from "@cm4all/linux";
import { LOG_ERR, type Logger } from "../../log/log.ts";
import type { AccountingSink } from "../script/sink.ts";

/** The maximum number of running calls, apart from those for cgroups that have become empty. */
const MAX_RUNS = 8;

/** The maximum number of cgroups that wait for a call. */
const MAX_PENDING = 10_000;

/** The total size of the waiting records, in bytes, at which no more are added. */
const MAX_PENDING_BYTES = 8 * 1024 * 1024;

export interface InterimOptions {
  readonly sink: AccountingSink;
  readonly log: Logger;
  /** Returns whether another handler of the cgroup runs or is to run. */
  readonly isBusy: (id: string) => boolean;
  /** Called when a handler has ended. */
  readonly onEnded: () => void;
}

export class InterimReports {
  readonly #options: InterimOptions;
  readonly #pending = new Map<string, EncodedRecord>();
  #pendingBytes = 0;
  readonly #running = new Set<string>();
  #runs = 0;
  #lastError: string | undefined;
  /** The number of reports for which a handler has succeeded. */
  handedOver = 0;

  constructor(options: InterimOptions) {
    this.#options = options;
  }

  /** The number of handlers that are running. */
  get runs(): number {
    return this.#runs;
  }

  /** Returns whether a handler runs for an interim report of the cgroup. */
  isRunning(id: string): boolean {
    return this.#running.has(id);
  }

  /** Adds reports, and drops those for which there is no room. @param batch see `pump` */
  add(records: readonly EncodedRecord[], batch: number): void {
    if (!this.#isWanted) return;
    for (const record of records) {
      this.drop(record.id);
      if (this.#pending.size >= MAX_PENDING || this.#pendingBytes >= MAX_PENDING_BYTES) break;
      this.#pending.set(record.id, record);
      this.#pendingBytes += recordSize(record);
    }
    this.pump(batch);
  }

  /** Drops a cgroup's report, because the cgroup has become empty or was measured again. */
  drop(id: string): void {
    const record = this.#pending.get(id);
    if (record === undefined) return;
    this.#pending.delete(id);
    this.#pendingBytes -= recordSize(record);
  }

  #dropAll(): void {
    this.#pending.clear();
    this.#pendingBytes = 0;
  }

  /** True if a script is ready whose handler tolerates repeated calls and calls out of order. */
  get #isWanted(): boolean {
    const { state, handlers } = this.#options.sink;
    return state === "ready" && handlers.running !== "none" && handlers.bearsRepetition;
  }

  /**
   * Calls handlers for the waiting reports, as long as the script host has room.
   * @param batch the maximum number of reports in a list
   */
  pump(batch: number): void {
    if (!this.#isWanted) this.#dropAll();
    const { sink } = this.#options;
    const isList = sink.handlers.running === "list";
    while (this.#pending.size > 0 && sink.room > 0 && this.#runs < (isList ? 1 : MAX_RUNS)) {
      const records = this.#take(isList ? batch : 1);
      if (records.length === 0) return;
      void this.#run(records);
    }
  }

  #take(count: number): EncodedRecord[] {
    const taken: EncodedRecord[] = [];
    for (const [id, record] of this.#pending) {
      if (taken.length >= count) break;
      if (this.#running.has(id)) continue;
      this.drop(id);
      if (!this.#options.isBusy(id)) taken.push(record);
    }
    return taken;
  }

  async #run(records: readonly EncodedRecord[]): Promise<void> {
    const { sink, onEnded } = this.#options;
    this.#runs++;
    for (const { id } of records) this.#running.add(id);
    try {
      const outcome = await sink.run(records, { kind: "running", begin: refuse });
      if (outcome.type === "done") this.#succeeded(records.length);
      else this.#failed(outcome.message);
    } catch (error) {
      this.#failed(errorText(error));
    }
    for (const { id } of records) this.#running.delete(id);
    this.#runs--;
    onEnded();
  }

  #succeeded(count: number): void {
    this.handedOver += count;
    this.#lastError = undefined;
  }

  /** Logs a reason once: in an outage of the database all handlers fail. */
  #failed(reason: string): void {
    if (reason !== this.#lastError)
      this.#options.log(LOG_ERR, `interim report: ${inOneLine(reason)}`);
    this.#lastError = reason;
  }
}

/** Refuses to mark records as begun: interim reports are not in the journal. */
async function refuse(): Promise<void> {
  throw new Error("handlers of running cgroups need handlers_bear_repetition = true");
}
