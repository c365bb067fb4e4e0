/**
 * Decides when a cgroup that ran empty is released: measured, logged and told.
 *
 * Invariants:
 * - A cgroup is released when it has been empty for its delay and each child of it that
 *   was used is released. Children come before their parent.
 * - A later release that includes an earlier one, whose record was not handed over, replaces it.
 */
import type { CgroupMeasurement } from "@cm4all/cgroup";
import type { Cgroup, LifecycleCounts, LifecycleWorld } from "./cgroup.ts";
import { Deadlines, Queue } from "./deadlines.ts";
import type { Deletion } from "./deletion.ts";

/**
 * The kernel tells of a change up to 10 ms late, and charges a process for its last
 * moments after it has left. So a little more CPU time than what was measured this soon is
 * an echo of it, and figures that show no process yet may show it this much later.
 */
export const ECHO_MS = 15;
const ECHO_USEC = 200;

export class ReleaseStage<Node> {
  readonly #world: LifecycleWorld<Node>;
  readonly #counts: LifecycleCounts;
  readonly #deletion: Deletion<Node>;
  /** Those that ran empty, until their delay is over; it is the same for all. */
  readonly #delays: Deadlines<Cgroup<Node>>;
  /** Those that may be released now. */
  readonly #ripe = new Queue<Cgroup<Node>>();
  /** Those that were found, are told in any case, and wait for room. */
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

  /** How many wait for room, about: some may have been used again, or be gone. */
  get waiting(): number {
    const waiting = this.#world.mayRelease() ? 0 : this.#delays.length + this.#ripe.length;
    return waiting + this.#found.size;
  }

  get nextMs(): number {
    return this.#world.mayRelease() ? this.#delays.nextMs : Number.POSITIVE_INFINITY;
  }

  /** Has a cgroup that has just run empty be measured after its delay. */
  ranEmpty(cgroup: Cgroup<Node>): void {
    const now = this.#world.nowMs();
    cgroup.emptyMs = now;
    cgroup.dueMs = now + this.#delays.delayMs;
    cgroup.phase = "empty";
    this.#delays.add(cgroup, now);
  }

  /** It may have been empty for long: it has no delay. */
  foundEmpty(cgroup: Cgroup<Node>): void {
    cgroup.emptyMs = this.#world.nowMs();
    cgroup.phase = "empty";
    cgroup.isFound = true;
    this.#ripe.add(cgroup);
  }

  /** Tries again to measure what could not be when its turn came. */
  retry(cgroup: Cgroup<Node>): void {
    if (cgroup.phase === "empty") this.#ripe.add(cgroup);
  }

  /** Measures a cgroup. @returns false if there is none to be measured now */
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
    const measured = this.#world.measure(cgroup.node, cgroup.bornMs);
    // `unreadable`: it stays empty until `retry`.
    if (measured === "gone") this.vanish(cgroup);
    else if (measured !== "unreadable") this.#release(cgroup, measured, undefined);
  }

  /** A released cgroup has used more than its release says, and is empty. */
  again(cgroup: Cgroup<Node>): void {
    const measured = this.#world.measure(cgroup.node, cgroup.bornMs);
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

  /** Somebody else removed a cgroup that was used, before it was measured. */
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

  /** It is told for the first time, and as found. */
  #takeFound(cgroup: Cgroup<Node>): boolean {
    const { isFound } = cgroup;
    cgroup.isFound = false;
    return isFound;
  }

  #childClosed({ parent }: Cgroup<Node>): void {
    if (parent !== undefined && parent.openChildren === 0) this.retry(parent);
  }
}
