/**
 * When records whose handler has failed are handed over again: at once in halves, after a
 * pause of their own, or after an outage in which nothing succeeds. verdict.ts says which.
 * Those that have failed for too long, and the oldest of too many, are parked.
 */

import type { AccountingPolicy } from "../../config/accounting.ts";
import { LOG_NOTICE, type Logger } from "../../log/log.ts";
import type { Entry } from "./entry.ts";
import { FailingRecords } from "./failing.ts";
import type { Lineup } from "./lineup.ts";
import { Outage } from "./outage.ts";

export interface RepetitionParts {
  readonly lineup: Lineup;
  readonly log: Logger;
  /** Milliseconds of a clock that never jumps. */
  readonly nowMs: () => number;
  readonly park: (group: readonly Entry[], reason: string) => void;
  readonly onPauseEnd: (entry: Entry) => void;
  /** A handler may be called, to see whether the outage is over. */
  readonly onProbe: () => void;
}

export class Repetition {
  readonly #parts: RepetitionParts;
  readonly #failing: FailingRecords;
  readonly outage: Outage;
  #policy: AccountingPolicy;
  #lastSuccessMs = Number.NEGATIVE_INFINITY;
  /** The one that has failed last since the last success. */
  #lastFailed: Entry | undefined;

  constructor(parts: RepetitionParts, policy: AccountingPolicy) {
    this.#parts = parts;
    this.#policy = policy;
    this.#failing = new FailingRecords(parts.onPauseEnd);
    this.outage = new Outage(parts.onProbe);
  }

  /** How many cgroups have handlers that fail while those of others succeed. */
  get failingCgroups(): number {
    return this.#failing.size;
  }

  /** Changes the policy. Without repetition there is no outage. */
  configure(policy: AccountingPolicy): void {
    this.#policy = policy;
    if (!policy.retry) this.outage.end();
  }

  /** Whether others have succeeded since these failed: then it is them. */
  isOwnFault(group: readonly Entry[]): boolean {
    return group.some(({ lastFailedMs }) => (lastFailedMs ?? Infinity) < this.#lastSuccessMs);
  }

  /**
   * Has records handed over again: `wait` together when somebody answers, `halve` in two
   * groups, `pause` after a time.
   * @param isInterrupted if their handler was, which is counted
   */
  repeat(group: readonly Entry[], how: "wait" | "halve" | "pause", isInterrupted: boolean): void {
    const now = this.#parts.nowMs();
    for (const entry of group) {
      entry.lastFailedMs = now;
      if (isInterrupted) entry.interruptions++;
    }
    const [first] = group;
    if (how !== "wait" && group.length === 1 && first !== undefined) this.#pause(first, now);
    else if (how === "halve" && !this.outage.isOn) this.#parts.lineup.halve(group);
    else this.#parts.lineup.putBack(group);
    if (how === "wait") this.#beginOutage();
  }

  #pause(entry: Entry, now: number): void {
    if (this.#lastFailed !== undefined && this.#lastFailed !== entry) this.#beginOutage();
    this.#lastFailed = entry;
    entry.failures++;
    const sinceMs = entry.failedSinceMs ?? now;
    entry.failedSinceMs = this.outage.isOn ? undefined : sinceMs;
    const leftMs = sinceMs + this.#policy.maxAgeMs - now;
    // As long as nothing else succeeds it need not be its fault.
    if (leftMs <= 0 && !this.outage.isOn && this.#lastSuccessMs > sinceMs) {
      const reason = `its handler has failed ${entry.attempts} times: ${entry.lastError}`;
      this.#parts.park([entry], reason);
    } else this.#failing.pause(entry, leftMs > 0 ? leftMs : Infinity);
    this.#boundFailing();
  }

  #boundFailing(): void {
    const { maxWaiting } = this.#policy;
    while (this.#failing.size > maxWaiting && !this.outage.isOn) {
      const oldest = this.#failing.oldest();
      if (oldest === undefined) return;
      this.#parts.park([oldest], `the handlers of more than ${maxWaiting} cgroups fail`);
    }
  }

  /** The record of one that has paused could not be read. */
  pauseAgain(entry: Entry, pauseMs: number): void {
    this.#failing.pause(entry, pauseMs);
  }

  #beginOutage(): void {
    if (this.outage.isOn) return;
    const pauseMs = this.outage.failed();
    const next = `one is tried in ${pauseMs / 1000} s, and again later`;
    this.#parts.log(LOG_NOTICE, `no handler succeeds: ${next}`);
    this.#parts.lineup.joinParts();
  }

  /** Handlers can succeed. */
  succeeded(): void {
    this.#lastSuccessMs = this.#parts.nowMs();
    this.#lastFailed = undefined;
    if (!this.outage.isOn) return;
    this.outage.end();
    this.#failing.forgive();
    this.#parts.log(LOG_NOTICE, "handlers succeed again");
  }

  /** Ends what is planned for a record, which is settled. */
  forget(entry: Entry): void {
    this.#failing.remove(entry);
  }

  /** Ends all pauses. */
  close(): void {
    this.outage.end();
    this.#failing.close();
  }
}
