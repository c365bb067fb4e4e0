/**
 * Decides when a cgroup that became empty is released: measured, logged and reported.
 *
 * Invariants:
 * - A cgroup is released when it has been empty for its delay and all of its children that were
 *   used are released. Children come before their parent.
 * - If a later release includes an earlier one whose record was not handed over, it replaces the
 *   earlier one.
 */
import type { CgroupMeasurement } from "@cm4all/cgroup";
import type { Cgroup, LifecycleCounts, LifecycleWorld } from "./cgroup.ts";
import { Deadlines, Queue } from "./deadlines.ts";
import type { Deletion } from "./deletion.ts";

/**
 * The kernel reports a change up to 10 ms late, and charges the cgroup for a process's last
 * moments after the process has left. So if a cgroup is measured less than ECHO_MS after it became
 * empty, up to ECHO_USEC of CPU time that appears later counts as part of the same run. And figures
 * that do not show a process yet are looked at again after ECHO_MS (see `Lifecycle`).
 */
export const ECHO_MS = 15;
const ECHO_USEC = 200;

export class ReleaseStage<Node> {
  readonly #world: LifecycleWorld<Node>;
  readonly #counts: LifecycleCounts;
  readonly #deletion: Deletion<Node>;
  /** Cgroups that became empty, until their delay is over. The delay is the same for all. */
  readonly #delays: Deadlines<Cgroup<Node>>;
  /** Cgroups that may be released now. */
  readonly #ripe = new Queue<Cgroup<Node>>();
  /** Cgroups that were found at startup. They are reported in any case, and wait for room. */
  readonly #found = new Set<Cgroup<Node>>();
  #nextNumber = 1;

  constructor(
    world: LifecycleWorld<Node>,
    delayMs: number,
    counts: LifecycleCounts,
    deletion: Deletion<Node>,
  ) {
    this.#world = world;
    this.#counts = counts;
    this.#deletion = deletion;
    this.#delays = new Deadlines(delayMs);
  }

  /**
   * Returns the approximate number of cgroups that wait for room; some may have been used again,
   * or be gone.
   */
  get waiting(): number {
    const waiting = this.#world.mayRelease() ? 0 : this.#delays.length + this.#ripe.length;
    return waiting + this.#found.size;
  }

  get nextMs(): number {
    return this.#world.mayRelease() ? this.#delays.nextMs : Number.POSITIVE_INFINITY;
  }

  /** Plans to measure a cgroup that has just become empty, after its delay. */
  becameEmpty(cgroup: Cgroup<Node>): void {
    const now = this.#world.nowMs();
    cgroup.emptyMs = now;
    cgroup.dueMs = now + this.#delays.delayMs;
    cgroup.phase = "empty";
    this.#delays.add(cgroup, now);
  }

  /**
   * Plans to measure a cgroup that was found empty. It has no delay, because it may have been
   * empty for a long time.
   */
  foundEmpty(cgroup: Cgroup<Node>): void {
    cgroup.emptyMs = this.#world.nowMs();
    cgroup.phase = "empty";
    cgroup.isFound = true;
    this.#ripe.add(cgroup);
  }

  /** Plans another attempt for a cgroup that could not be measured in its turn. */
  retry(cgroup: Cgroup<Node>): void {
    if (cgroup.phase === "empty") this.#ripe.add(cgroup);
  }

  /** Measures a cgroup. @returns false if there is none to measure now */
  step(): boolean {
    if (!this.#world.mayRelease()) return false;
    const cgroup =
      this.#delays.take(this.#world.nowMs()) ?? this.#ripe.take() ?? this.#takeWaiting();
    if (cgroup === undefined) return false;
    this.#releaseIfReady(cgroup);
    return true;
  }

  #takeWaiting(): Cgroup<Node> | undefined {
    if (this.#found.size === 0 || !this.#world.hasRoom()) return undefined;
    const [cgroup] = this.#found;
    if (cgroup !== undefined) this.#found.delete(cgroup);
    return cgroup;
  }

  #releaseIfReady(cgroup: Cgroup<Node>): void {
    if (cgroup.phase !== "empty" || cgroup.openChildren > 0) return;
    if (cgroup.dueMs > this.#world.nowMs()) return;
    if (cgroup.isFound && !this.#world.hasRoom()) {
      this.#found.add(cgroup);
      return;
    }
    const measured = this.#measure(cgroup);
    // `unreadable`: the cgroup stays in the phase `empty` until `retry`.
    if (measured === "gone") this.vanish(cgroup);
    else if (measured !== "unreadable") this.#release(cgroup, measured, undefined);
  }

  #measure(cgroup: Cgroup<Node>) {
    const { node, bornMs } = cgroup;
    return this.#world.measure(node, bornMs, (remains) => cgroup.addRemains(remains));
  }

  /** Releases an empty cgroup again, because it has used more than its release shows. */
  again(cgroup: Cgroup<Node>): void {
    const measured = this.#measure(cgroup);
    if (typeof measured === "string") return;
    this.#counts.repopulatedCgroups++;
    this.#release(cgroup, measured, this.#deletion.replace(cgroup));
  }

  #release(cgroup: Cgroup<Node>, measured: CgroupMeasurement, replaces: number | undefined): void {
    const before = cgroup.last;
    const snapshot = { ...measured, report: cgroup.report };
    cgroup.last = snapshot;
    cgroup.sample = undefined;
    this.#counts.releasedCgroups++;
    const number = this.#nextNumber++;
    const isFound = this.#takeFound(cgroup);
    const release = { number, snapshot, vanished: false, isFound, replaces };
    const isTold = this.#world.released(cgroup.node, release, before);
    const echoUsec = this.#world.nowMs() - cgroup.emptyMs < ECHO_MS ? ECHO_USEC : 0;
    const { cpuTotalUsec } = measured;
    const maxUsec = cpuTotalUsec === undefined ? undefined : cpuTotalUsec + echoUsec;
    cgroup.phase = "released";
    this.#deletion.released(cgroup, { number, isTold, maxUsec });
    this.#childClosed(cgroup);
  }

  /**
   * Reports a cgroup that was used, or may have been, and that somebody else removed before it was
   * measured.
   */
  vanish(cgroup: Cgroup<Node>): void {
    const { node, bornMs, last, report } = cgroup;
    const measured = cgroup.sample ?? last ?? this.#world.identify(node, bornMs);
    const snapshot = { ...measured, report };
    this.#counts.vanishedCgroups++;
    const number = this.#nextNumber++;
    const isFound = this.#takeFound(cgroup);
    const release = { number, snapshot, vanished: true, isFound, replaces: undefined };
    this.#world.released(node, release, last);
    cgroup.phase = "vanished";
    this.#childClosed(cgroup);
  }

  /** Returns whether the cgroup is reported as found, which happens only in its first report. */
  #takeFound(cgroup: Cgroup<Node>): boolean {
    const { isFound } = cgroup;
    cgroup.isFound = false;
    return isFound;
  }

  #childClosed({ parent }: Cgroup<Node>): void {
    if (parent !== undefined && parent.openChildren === 0) this.retry(parent);
  }
}
