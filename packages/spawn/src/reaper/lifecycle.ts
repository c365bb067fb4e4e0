/**
 * Decides which cgroup is released (measured, logged, handed to its handler) and which
 * is deleted, and when. It does no I/O itself: what it asks of a cgroup and what it
 * wants done goes through `LifecycleWorld`.
 *
 * Invariants:
 * - A cgroup is released when it is unpopulated, was used, and no child of it is
 *   unreleased. Children come before their parent.
 * - A cgroup is deleted when it is released, its latest release is settled (the handler
 *   has returned, or nobody waits for one), its delay since that release is over, and
 *   it has no children.
 * - A populated cgroup is never released; the kernel refuses to delete it.
 */
import type { CgroupEvents, CgroupMeasurement, CgroupSnapshot } from "@cm4all/cgroup";
import type { Removal } from "./cgroup-files.ts";
import type { ReaperCounts } from "./metrics.ts";
import type { Origin } from "./tree-watch.ts";

/** @typeParam Node what stands for a cgroup's directory */
export interface LifecycleWorld<Node> {
  /** Milliseconds of a clock that never jumps. */
  nowMs(): number;
  /** Its `cgroup.events`; undefined where they cannot be read. */
  state(node: Node): CgroupEvents | undefined;
  /** Whether a process has ever lived in it. */
  wasUsed(node: Node): boolean;
  measure(node: Node, bornMs: number | undefined): CgroupMeasurement | "gone" | "unreadable";
  /** What is known of a cgroup that is gone. */
  identify(node: Node, bornMs: number | undefined): CgroupMeasurement;
  remove(node: Node): Removal;
  /**
   * A cgroup was released.
   * @param release a number for `settle`
   * @param before what its last release told, whose figures these include
   * @returns true where nobody will call `settle`
   */
  released(
    node: Node,
    release: number,
    snapshot: CgroupSnapshot,
    before: CgroupMeasurement | undefined,
  ): boolean;
  /** A cgroup that was used was removed by somebody else before it was measured. */
  vanished(node: Node, release: number, snapshot: CgroupSnapshot): void;
}

type Phase =
  /** No process has been seen in it yet. */
  | "unused"
  | "populated"
  /** It has run empty and waits for a child's release. */
  | "empty"
  | "released"
  /** Its directory is gone and that was told; the tree's word is yet to come. */
  | "vanished";

interface Cgroup<Node> {
  readonly node: Node;
  readonly parent: Cgroup<Node> | undefined;
  readonly bornMs: number | undefined;
  phase: Phase;
  frozen: boolean | undefined;
  /** How many directories there are in it, and how many of them are not released. */
  children: number;
  unreleasedChildren: number;
  /** How often it was released. */
  report: number;
  last: CgroupMeasurement | undefined;
  /** What was measured while it ran, since its last release. */
  sample: CgroupMeasurement | undefined;
  /** The number of its latest release, and whether that is settled. */
  release: number;
  settled: boolean;
  /** From when on it may be deleted. */
  dueMs: number;
}

/**
 * The kernel tells of a change up to 10 ms late, and charges a process for its last
 * moments after it has left. So shortly after a release an event with a little more CPU
 * time is an echo of what was released.
 */
const ECHO_MS = 15;
const ECHO_USEC = 200;

/** What of the reaper is counted here. */
export type LifecycleCounts = Pick<
  ReaperCounts,
  "releasedCgroups" | "deletedCgroups" | "vanishedCgroups" | "repopulatedCgroups"
>;

export class Lifecycle<Node> {
  readonly #world: LifecycleWorld<Node>;
  readonly #counts: LifecycleCounts;
  readonly #deletionDelayMs: number;
  readonly #cgroups = new Map<Node, Cgroup<Node>>();
  /** Releases that are not settled. */
  readonly #waiting = new Map<number, Cgroup<Node>>();
  /** Releases in the order in which their delay ends; it is the same for all. */
  #due: { readonly cgroup: Cgroup<Node>; readonly release: number; readonly dueMs: number }[] = [];
  #dueHead = 0;
  #nextRelease = 1;

  constructor(world: LifecycleWorld<Node>, deletionDelayMs: number, counts: LifecycleCounts) {
    this.#world = world;
    this.#counts = counts;
    this.#deletionDelayMs = deletionDelayMs;
  }

  get watched(): number {
    return this.#cgroups.size;
  }

  /** How many releases wait for their handler. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /**
   * A cgroup was found. `scanned` follows when those below it were added.
   * @param parent undefined directly below a scope
   * @param bornMs when it was seen being created, milliseconds since 1970
   */
  added(node: Node, parent: Node | undefined, bornMs: number | undefined): void {
    const above = parent === undefined ? undefined : this.#cgroups.get(parent);
    if (above !== undefined) {
      above.children++;
      above.unreleasedChildren++;
    }
    this.#cgroups.set(node, {
      node,
      parent: above,
      bornMs,
      phase: "unused",
      frozen: undefined,
      children: 0,
      unreleasedChildren: 0,
      report: 0,
      last: undefined,
      sample: undefined,
      release: 0,
      settled: false,
      dueMs: 0,
    });
  }

  /**
   * Everything below a new cgroup is known: looks at it for the first time. What is
   * empty at the start was left by an earlier run. Later an empty cgroup may be waiting
   * for its first process, unless it shows that it has had one.
   */
  scanned(node: Node, origin: Origin): void {
    const cgroup = this.#cgroups.get(node);
    if (cgroup === undefined) return;
    const state = this.#world.state(node);
    if (state?.populated === undefined) return;
    cgroup.frozen = state.frozen;
    if (state.populated) cgroup.phase = "populated";
    else if (origin === "start" || this.#wasLeft(node)) this.#ranEmpty(cgroup);
  }

  /**
   * Its `cgroup.events` have changed.
   * @param origin anything but `event`: they may have, and it takes figures to tell whether
   * a cgroup that was never seen populated has been
   */
  touched(node: Node, origin: Origin): void {
    const cgroup = this.#cgroups.get(node);
    if (cgroup === undefined || cgroup.phase === "vanished") return;
    const state = this.#world.state(node);
    if (state?.populated === undefined) return;
    const wasFrozen = cgroup.frozen;
    cgroup.frozen = state.frozen;
    if (state.populated) this.#becamePopulated(cgroup);
    else if (cgroup.phase === "released") this.#touchedAfterRelease(cgroup);
    else if (cgroup.phase === "populated") this.#ranEmpty(cgroup);
    else if (cgroup.phase === "unused") {
      // The file changes for two reasons: where it is not the freezer, a process came and went.
      const toldByEvent = origin === "event" && state.frozen === wasFrozen;
      if (toldByEvent || this.#wasLeft(node)) this.#ranEmpty(cgroup);
    }
  }

  /** Somebody else removed its directory; those below it were told before. */
  removed(node: Node): void {
    const cgroup = this.#cgroups.get(node);
    if (cgroup === undefined) return;
    if (cgroup.phase === "populated" || cgroup.phase === "empty") this.#vanish(cgroup);
    this.#detach(cgroup);
  }

  /** The handler of a release has returned, or it was given up. */
  settle(release: number): void {
    const cgroup = this.#waiting.get(release);
    if (cgroup === undefined) return;
    this.#waiting.delete(release);
    // A later release of the same cgroup waits for its own handler.
    if (cgroup.release !== release) return;
    cgroup.settled = true;
    this.#tryDelete(cgroup);
  }

  /** When `deleteDue` has something to do, on the world's clock. */
  get nextDueMs(): number | undefined {
    return this.#due[this.#dueHead]?.dueMs;
  }

  /** Deletes what is due. @param everything also what is not due yet */
  deleteDue(everything = false): void {
    const now = everything ? Number.POSITIVE_INFINITY : this.#world.nowMs();
    for (;;) {
      const entry = this.#due[this.#dueHead];
      if (entry === undefined || entry.dueMs > now) break;
      this.#dueHead++;
      const { cgroup, release } = entry;
      if (everything) cgroup.dueMs = 0;
      if (cgroup.release === release) this.#tryDelete(cgroup);
    }
    if (this.#dueHead > 1000 && this.#dueHead * 2 > this.#due.length) {
      this.#due = this.#due.slice(this.#dueHead);
      this.#dueHead = 0;
    }
  }

  /** Those whose state is another than the events so far have told. */
  differing(): Node[] {
    const nodes: Node[] = [];
    for (const cgroup of this.#cgroups.values()) if (this.#differs(cgroup)) nodes.push(cgroup.node);
    return nodes;
  }

  #differs({ node, phase }: Cgroup<Node>): boolean {
    const populated = this.#world.state(node)?.populated;
    if (populated === undefined || phase === "vanished") return false;
    if (populated) return phase !== "populated";
    return phase === "populated" || (phase === "unused" && this.#wasLeft(node));
  }

  /**
   * Whether an empty cgroup that was never seen populated has been. It is looked at again:
   * its first process may have come between the first look and the figures.
   */
  #wasLeft(node: Node): boolean {
    return this.#world.wasUsed(node) && this.#world.state(node)?.populated === false;
  }

  /** Tries again to measure and delete what could not be when its turn came. */
  retry(): void {
    for (const cgroup of [...this.#cgroups.values()]) {
      this.#releaseIfReady(cgroup);
      this.#tryDelete(cgroup);
    }
  }

  /**
   * Measures what runs, one cgroup a step: a cgroup that somebody else removes then has
   * this for its last sample.
   */
  *takeSamples(): Generator<void, void> {
    for (const cgroup of this.#cgroups.values()) {
      if (cgroup.phase !== "populated") continue;
      const measured = this.#world.measure(cgroup.node, cgroup.bornMs);
      if (typeof measured !== "string") cgroup.sample = measured;
      yield;
    }
  }

  #becamePopulated(cgroup: Cgroup<Node>): void {
    if (cgroup.phase === "released") {
      this.#counts.repopulatedCgroups++;
      if (cgroup.parent !== undefined) cgroup.parent.unreleasedChildren++;
    }
    cgroup.phase = "populated";
  }

  #ranEmpty(cgroup: Cgroup<Node>): void {
    cgroup.phase = "empty";
    this.#releaseIfReady(cgroup);
  }

  #releaseIfReady(cgroup: Cgroup<Node>): void {
    if (cgroup.phase !== "empty" || cgroup.unreleasedChildren > 0) return;
    const measured = this.#world.measure(cgroup.node, cgroup.bornMs);
    // `unreadable`: it stays empty until `retry`.
    if (measured === "gone") this.#vanish(cgroup);
    else if (measured !== "unreadable") this.#release(cgroup, measured);
  }

  #release(cgroup: Cgroup<Node>, measured: CgroupMeasurement): void {
    const release = this.#nextRelease++;
    const before = cgroup.last;
    cgroup.last = measured;
    cgroup.sample = undefined;
    cgroup.report++;
    cgroup.release = release;
    cgroup.dueMs = this.#world.nowMs() + this.#deletionDelayMs;
    const first = cgroup.phase !== "released";
    cgroup.phase = "released";
    this.#counts.releasedCgroups++;
    const snapshot = { ...measured, report: cgroup.report };
    cgroup.settled = this.#world.released(cgroup.node, release, snapshot, before);
    if (!cgroup.settled) this.#waiting.set(release, cgroup);
    this.#due.push({ cgroup, release, dueMs: cgroup.dueMs });
    if (first) this.#childReleased(cgroup.parent);
  }

  /** An event while it is released: it may have been populated and emptied again since. */
  #touchedAfterRelease(cgroup: Cgroup<Node>): void {
    const measured = this.#world.measure(cgroup.node, cgroup.bornMs);
    if (typeof measured === "string") return;
    if (this.#hasRunAgain(cgroup, measured)) {
      this.#counts.repopulatedCgroups++;
      this.#release(cgroup, measured);
    } else this.#tryDelete(cgroup);
  }

  #hasRunAgain(cgroup: Cgroup<Node>, now: CgroupMeasurement): boolean {
    const grownUsec = (now.cpuTotalUsec ?? 0) - (cgroup.last?.cpuTotalUsec ?? 0);
    const sinceMs = this.#world.nowMs() - (cgroup.dueMs - this.#deletionDelayMs);
    return grownUsec > (sinceMs < ECHO_MS ? ECHO_USEC : 0);
  }

  #vanish(cgroup: Cgroup<Node>): void {
    const measured =
      cgroup.sample ?? cgroup.last ?? this.#world.identify(cgroup.node, cgroup.bornMs);
    cgroup.phase = "vanished";
    cgroup.report++;
    this.#counts.vanishedCgroups++;
    const snapshot = { ...measured, report: cgroup.report };
    this.#world.vanished(cgroup.node, this.#nextRelease++, snapshot);
    this.#childReleased(cgroup.parent);
  }

  #childReleased(parent: Cgroup<Node> | undefined): void {
    if (parent === undefined) return;
    parent.unreleasedChildren--;
    this.#releaseIfReady(parent);
  }

  #tryDelete(cgroup: Cgroup<Node>): void {
    if (cgroup.phase !== "released" || !cgroup.settled || cgroup.children > 0) return;
    if (cgroup.dueMs > this.#world.nowMs()) return;
    const removal = this.#world.remove(cgroup.node);
    if (removal === "removed") {
      this.#counts.deletedCgroups++;
      this.#detach(cgroup);
    } else if (removal === "busy" && this.#world.state(cgroup.node)?.populated === true) {
      this.#becamePopulated(cgroup);
    }
    // Else an event is on its way: of the removal, of a new child that will be removed
    // some day, of a process that came and went. The periodic check tries again too.
  }

  /** Its directory is gone. */
  #detach(cgroup: Cgroup<Node>): void {
    this.#cgroups.delete(cgroup.node);
    const { parent, phase } = cgroup;
    if (parent === undefined) return;
    parent.children--;
    if (phase === "unused") this.#childReleased(parent);
    this.#tryDelete(parent);
  }
}
