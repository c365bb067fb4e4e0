/**
 * Decides which cgroups were used and have become empty. It does no I/O itself: its questions and
 * actions go through `LifecycleWorld`. `release.ts` and `deletion.ts` decide about the later
 * stages:
 *
 *     unused -> populated -> empty -> released -> deleted
 *                   ^----------+---------+
 *
 * Invariants:
 * - Each cgroup that was found and no longer exists was released, perhaps as vanished, was deleted
 *   unused, or is counted as unseen.
 * - Freezing a cgroup does not count as use: the kernel reports freezing with the same event as a
 *   change of processes, so an event proves nothing without the figures.
 */
import type { CgroupMeasurement, CgroupSnapshot } from "@cm4all/cgroup";
import {
  Cgroup,
  type LifecycleCounts,
  type LifecycleTimes,
  type LifecycleWorld,
} from "./cgroup.ts";
import { Deadlines } from "./deadlines.ts";
import { Deletion } from "./deletion.ts";
import { ECHO_MS, ReleaseStage } from "./release.ts";
import type { Origin } from "./tree-node.ts";

export class Lifecycle<Node> {
  readonly #world: LifecycleWorld<Node>;
  readonly #counts: LifecycleCounts;
  readonly #cgroups = new Map<Node, Cgroup<Node>>();
  readonly #release: ReleaseStage<Node>;
  readonly #deletion: Deletion<Node>;
  /** Cgroups whose figures are to be looked at a second time. */
  readonly #secondLooks = new Deadlines<Cgroup<Node>>(ECHO_MS);

  constructor(world: LifecycleWorld<Node>, times: LifecycleTimes, counts: LifecycleCounts) {
    this.#world = world;
    this.#counts = counts;
    this.#deletion = new Deletion(world, times.unusedMs, counts, {
      becamePopulated: (cgroup) => this.#becamePopulated(cgroup),
      ranAgain: (cgroup) => this.#ranAgain(cgroup),
      wasDeleted: (cgroup) => this.#detach(cgroup),
    });
    this.#release = new ReleaseStage(world, times.deletionDelayMs, counts, this.#deletion);
  }

  get watched(): number {
    return this.#cgroups.size;
  }

  /** Returns the number of empty cgroups that wait for room or for the journal. */
  get waiting(): number {
    return this.#release.waiting + this.#deletion.waiting;
  }

  /** Returns whether something that is journalled is yet to be deleted. */
  get isDeleting(): boolean {
    return this.#deletion.isBusy;
  }

  /**
   * Called when a cgroup was found. `scanned` follows once the cgroups below it have been added.
   * @param parent undefined for a cgroup directly below a scope
   * @param bornMs the time at which its creation was observed, in milliseconds since 1970
   */
  added(node: Node, parent: Node | undefined, bornMs: number | undefined): void {
    const above = parent === undefined ? undefined : this.#cgroups.get(parent);
    const cgroup = new Cgroup(node, above, bornMs, this.#world.nowMs());
    this.#cgroups.set(node, cgroup);
    if (above === undefined) return;
    above.children ??= new Set();
    above.children.add(cgroup);
    this.#deletion.childChanged(cgroup);
  }

  /**
   * Called when everything below a new cgroup is known; looks at the cgroup for the first time.
   * If it is empty at startup, it counts as used. If it is empty later, it may be waiting for its
   * first process, unless its figures show that it has had one. If it cannot be looked at now, it
   * is looked at as soon as possible.
   */
  scanned(node: Node, origin: Origin): void {
    const cgroup = this.#cgroups.get(node);
    if (cgroup?.phase !== "unseen") return;
    cgroup.isFound = origin === "start" || origin === "late";
    const isPopulated = this.#world.isPopulated(node);
    if (isPopulated === undefined) return;
    if (isPopulated) this.#becamePopulated(cgroup);
    else if (origin === "start") this.#release.foundEmpty(cgroup);
    else if (!this.#wasLeft(node)) cgroup.phase = "unused";
    else if (origin === "late") this.#release.foundEmpty(cgroup);
    else this.#release.becameEmpty(cgroup);
  }

  /**
   * Returns the cgroups that are not released and may have been used. To be called as soon as
   * everything that existed at startup is known.
   * @returns `found`: those that were found empty or could not be looked at; `used`: those that
   *   were used
   */
  unreleased(): { found: Node[]; used: Node[] } {
    const found: Node[] = [];
    const used: Node[] = [];
    for (const { node, isOpen, isFound } of this.#cgroups.values())
      if (isFound) found.push(node);
      else if (isOpen) used.push(node);
    return { found, used };
  }

  /**
   * Called when the file `cgroup.events` of a cgroup has changed.
   * @param origin if it is not `event`, the file may not have changed
   */
  touched(node: Node, origin: Origin): void {
    const cgroup = this.#cgroups.get(node);
    if (cgroup === undefined || cgroup.phase === "vanished") return;
    const isPopulated = this.#world.isPopulated(node);
    if (isPopulated === true) this.#becamePopulated(cgroup);
    else if (isPopulated === undefined) cgroup.isStirred ||= origin === "event";
    else if (cgroup.phase === "populated") this.#release.becameEmpty(cgroup);
    else if (cgroup.phase === "unseen" && cgroup.isFound) this.#release.foundEmpty(cgroup);
    else if (cgroup.phase === "released") this.#deletion.retry(cgroup);
    else if (cgroup.isUnused) this.#lookAtFigures(cgroup, origin);
  }

  /** Finds out whether a process came and went, or the event came from the freezer. */
  #lookAtFigures(cgroup: Cgroup<Node>, origin: Origin): void {
    if (this.#wasLeft(cgroup.node)) {
      this.#release.becameEmpty(cgroup);
      return;
    }
    cgroup.phase = "unused";
    if (origin === "event") {
      cgroup.isStirred = true;
      this.#secondLooks.add(cgroup, this.#world.nowMs());
      return;
    }
    // If it is gone, no figures could be read, and the event remains unexplained.
    const isThere = this.#world.isPopulated(cgroup.node) !== undefined;
    if (isThere) cgroup.isStirred = false;
  }

  /** Called when somebody else removed a cgroup, after the calls for the cgroups below it. */
  removed(node: Node): void {
    const cgroup = this.#cgroups.get(node);
    if (cgroup === undefined) return;
    const { isOpen, isFound, isUnused, isStirred } = cgroup;
    if (isOpen || isFound || (isUnused && isStirred)) this.#release.vanish(cgroup);
    // A process may have come and gone: its event can come after the event of the removal.
    else if (isUnused) this.#counts.unseenCgroups++;
    this.#detach(cgroup);
  }

  /** Called when the records of these releases are on the disk. */
  journalled(releases: readonly number[]): void {
    this.#deletion.journalled(releases);
  }

  /**
   * Returns the next time at which a step has something to do, on the world's clock; infinite if
   * there is none.
   */
  get nextDueMs(): number {
    return Math.min(this.#secondLooks.nextMs, this.#release.nextMs, this.#deletion.nextMs);
  }

  /**
   * Measures a cgroup, or looks at its figures.
   * @returns false if there is nothing to do now
   */
  measureStep(): boolean {
    const stirred = this.#secondLooks.take(this.#world.nowMs());
    if (stirred === undefined) return this.#release.step();
    if (stirred.phase === "unused") this.#lookAtFigures(stirred, "comparison");
    return true;
  }

  /** Deletes a cgroup. @returns false if none is to be deleted now */
  deleteStep(): boolean {
    return this.#deletion.step();
  }

  /**
   * Finds the cgroups whose state is not the one that the events have reported. Looks at one in
   * each step.
   */
  *differing(): Generator<void, Node[]> {
    const nodes: Node[] = [];
    for (const cgroup of this.#cgroups.values()) {
      if (this.#differs(cgroup)) nodes.push(cgroup.node);
      yield;
    }
    return nodes;
  }

  #differs({ node, phase }: Cgroup<Node>): boolean {
    const isPopulated = this.#world.isPopulated(node);
    if (isPopulated === undefined || phase === "vanished") return false;
    if (isPopulated) return phase !== "populated";
    if (phase === "unused") return this.#wasLeft(node);
    return phase === "unseen" || phase === "populated";
  }

  /** Plans another attempt for cgroups that could not be measured or deleted when it was time. */
  *retry(): Generator<void, void> {
    for (const cgroup of this.#cgroups.values()) {
      this.#release.retry(cgroup);
      this.#deletion.retry(cgroup);
      this.#deletion.sweepLater(cgroup);
      yield;
    }
  }

  /**
   * Measures running cgroups, one in each step. If somebody else later removes a cgroup, this is
   * its last sample.
   */
  *measureRunning(tell?: (node: Node, snapshot: CgroupSnapshot) => void): Generator<void, void> {
    for (const cgroup of this.#cgroups.values()) {
      const { node, bornMs, report } = cgroup;
      if (cgroup.phase === "populated" && this.#world.isPopulated(node) === true) {
        const remains = (figures: CgroupMeasurement) => cgroup.addRemains(figures);
        const measured = this.#world.measure(node, bornMs, remains);
        if (typeof measured !== "string") {
          cgroup.sample = measured;
          tell?.(node, { ...measured, report });
        }
      }
      yield;
    }
  }

  /**
   * Returns whether a cgroup that was never seen populated had a process and is empty again. Checks
   * a second time that it is empty, because its first process may have come after the first look
   * and before the figures were read.
   */
  #wasLeft(node: Node): boolean {
    return this.#world.wasUsed(node) && this.#world.isPopulated(node) === false;
  }

  #becamePopulated(cgroup: Cgroup<Node>): void {
    if (cgroup.phase === "released") {
      this.#counts.repopulatedCgroups++;
      this.#deletion.withdraw(cgroup);
    }
    cgroup.isFound = false;
    cgroup.phase = "populated";
  }

  #ranAgain(cgroup: Cgroup<Node>): void {
    if (cgroup.phase === "released") this.#release.again(cgroup);
    else this.#release.becameEmpty(cgroup);
  }

  /** Forgets a cgroup whose directory is gone. */
  #detach(cgroup: Cgroup<Node>): void {
    this.#cgroups.delete(cgroup.node);
    cgroup.phase = "vanished";
    this.#deletion.ended(cgroup);
    const { parent } = cgroup;
    if (parent === undefined) return;
    parent.children?.delete(cgroup);
    this.#deletion.retry(parent);
    if (!parent.hasChildren) this.#deletion.childChanged(parent);
  }
}
