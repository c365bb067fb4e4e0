/**
 * Repeats the handover of records whose handler has failed: immediately in halves, after a pause,
 * or after an outage, as verdict.ts decides. Parks records that have failed for too long and, if
 * too many fail, the one that failed first.
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
  /** Returns the milliseconds of a clock that cannot be set, such as `bootTimeMs`. */
  readonly nowMs: () => number;
  readonly park: (group: readonly Entry[], reason: string) => void;
  readonly onPauseEnd: (entry: Entry) => void;
  /** Called when a handler may be called to test whether the outage is over. */
  readonly onProbe: () => void;
}

export class Repetition {
  readonly #parts: RepetitionParts;
  readonly #failing: FailingRecords;
  readonly outage: Outage;
  #policy: AccountingPolicy;
  #lastSuccessMs = Number.NEGATIVE_INFINITY;
  /** The record that failed last, if no handler has succeeded since. */
  #lastFailed: Entry | undefined;

  constructor(parts: RepetitionParts, policy: AccountingPolicy) {
    this.#parts = parts;
    this.#policy = policy;
    this.#failing = new FailingRecords(parts.onPauseEnd);
    this.outage = new Outage(parts.onProbe);
  }

  /** The number of cgroups whose handlers fail while the handlers of other cgroups succeed. */
  get failingCgroups(): number {
    return this.#failing.size;
  }

  /** Changes the policy. Ends an outage if handlers that fail are not to be called again. */
  configure(policy: AccountingPolicy): void {
    this.#policy = policy;
    if (!policy.retry) this.outage.end();
  }

  /** Returns whether other handlers have succeeded since one of these records last failed. */
  isOwnFault(group: readonly Entry[]): boolean {
    return group.some(({ lastFailedMs }) => (lastFailedMs ?? Infinity) < this.#lastSuccessMs);
  }

  /**
   * Hands records over again: after an outage (`wait`), in two groups (`halve`), or after a pause
   * (`pause`). A single record cannot be halved, and is paused instead.
   * @param isInterrupted true if the script host ended while their handler ran; each entry then
   *   counts another interruption
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
    // It is this record's own fault only if another handler has succeeded since its first failure.
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

  /** Begins another pause of a record that could not be read after its last pause. */
  pauseAgain(entry: Entry, pauseMs: number): void {
    this.#failing.pause(entry, pauseMs);
  }

  #beginOutage(): void {
    if (this.outage.isOn) return;
    const pauseMs = this.outage.begin();
    const next = `one is tried in ${pauseMs / 1000} s, and again later`;
    this.#parts.log(LOG_NOTICE, `no handler succeeds: ${next}`);
    this.#parts.lineup.joinParts();
  }

  /** Notes that a handler has succeeded, or has at least had an effect. */
  succeeded(): void {
    this.#lastSuccessMs = this.#parts.nowMs();
    this.#lastFailed = undefined;
    if (!this.outage.isOn) return;
    this.outage.end();
    this.#failing.forgive();
    this.#parts.log(LOG_NOTICE, "handlers succeed again");
  }

  /** Ends the pause of a record that is removed from memory. */
  forget(entry: Entry): void {
    this.#failing.remove(entry);
  }

  /** Ends all pauses. */
  close(): void {
    this.outage.end();
    this.#failing.close();
  }
}
