/**
 * Decides which cgroup was used and has run empty. It does no I/O itself: what it asks of a
 * cgroup and what it wants done goes through `LifecycleWorld`. What comes then is decided
 * in `release.ts` and `deletion.ts`:
 *
 *     unused -> populated -> empty -> released -> deleted
 *                   ^----------+---------+
 *
 * Invariants:
 * - Each cgroup that was found and is gone was released, has vanished, has made way unused, or
 *   is counted as unseen.
 * - Frozen is not used: the kernel tells of the freezer by the same event as of processes, so
 *   that an event proves nothing without the figures.
 */
import type { CgroupSnapshot } from "@cm4all/cgroup";
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
  /** Those whose figures are looked at again. */
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

  /** How many have run empty and wait until they are journalled. */
  get waiting(): number {
    return this.#release.waiting + this.#deletion.waiting;
  }

  /** Whether something that is journalled is yet to be deleted. */
  get isDeleting(): boolean {
    return this.#deletion.isBusy;
  }

  /**
   * A cgroup was found. `scanned` follows when those below it were added.
   * @param parent undefined directly below a scope
   * @param bornMs when it was seen being created, milliseconds since 1970
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
   * Everything below a new cgroup is known: looks at it for the first time. What is
   * empty at the start was left by an earlier run. Later an empty cgroup may be waiting
   * for its first process, unless it shows that it has had one. If it cannot be looked at,
   * it is when it can.
   */
  scanned(node: Node, origin: Origin): void {
    const cgroup = this.#cgroups.get(node);
    if (cgroup?.phase !== "unseen") return;
    cgroup.isFromStart = origin === "start" || origin === "late";
    cgroup.isFound = cgroup.isFromStart;
    const isPopulated = this.#world.isPopulated(node);
    if (isPopulated === undefined) return;
    if (isPopulated) this.#becamePopulated(cgroup);
    else if (origin === "start") this.#release.foundEmpty(cgroup);
    else if (!this.#wasLeft(node)) cgroup.phase = "unused";
    else if (origin === "late") this.#release.foundEmpty(cgroup);
    else this.#ranEmpty(cgroup);
  }

  /**
   * Returns, when all that was there at the start is known, those that are not released:
   * those that were found empty, or could not be looked at, and those that were used.
   */
  unreleased(): { found: Node[]; used: Node[] } {
    const found: Node[] = [];
    const used: Node[] = [];
    for (const { node, isOpen, isFound } of this.#cgroups.values())
      if (isFound) found.push(node);
      else if (isOpen) used.push(node);
    return { found, used };
  }

  /** Its `cgroup.events` have changed. @param origin anything but `event`: they may have */
  touched(node: Node, origin: Origin): void {
    const cgroup = this.#cgroups.get(node);
    if (cgroup === undefined || cgroup.phase === "vanished") return;
    const isPopulated = this.#world.isPopulated(node);
    if (isPopulated === true) this.#becamePopulated(cgroup);
    else if (isPopulated === undefined) cgroup.isStirred ||= cgroup.isUnused && origin === "event";
    else if (cgroup.phase === "populated") this.#ranEmpty(cgroup);
    else if (cgroup.phase === "unseen" && cgroup.isFound) this.#release.foundEmpty(cgroup);
    else if (cgroup.phase === "released") this.#deletion.retry(cgroup);
    else if (cgroup.isUnused) this.#lookAtFigures(cgroup, origin);
  }

  /** Tells a process that came and went from the freezer. */
  #lookAtFigures(cgroup: Cgroup<Node>, origin: Origin): void {
    if (this.#wasLeft(cgroup.node)) {
      this.#ranEmpty(cgroup);
      return;
    }
    cgroup.phase = "unused";
    cgroup.isStirred = origin === "event";
    if (cgroup.isStirred) this.#secondLooks.add(cgroup, this.#world.nowMs());
  }

  /** Somebody else removed its directory; those below it were told before. */
  removed(node: Node): void {
    const cgroup = this.#cgroups.get(node);
    if (cgroup === undefined) return;
    if (cgroup.isOpen || cgroup.isStirred || cgroup.isFound) this.#release.vanish(cgroup);
    // The event of a process that came and went can be later than that of the removal.
    else if (cgroup.isUnused) this.#counts.unseenCgroups++;
    this.#detach(cgroup);
  }

  /** The records of these releases are on the disk. */
  journalled(releases: readonly number[]): void {
    this.#deletion.journalled(releases);
  }

  /** When a step has something to do, on the world's clock; infinite if never. */
  get nextDueMs(): number {
    return Math.min(this.#secondLooks.nextMs, this.#release.nextMs, this.#deletion.nextMs);
  }

  /** Looks at the figures of a cgroup. @returns false if there is none to be looked at now */
  measureStep(): boolean {
    const stirred = this.#secondLooks.take(this.#world.nowMs());
    if (stirred === undefined) return this.#release.step();
    if (stirred.isStirred && stirred.phase === "unused") this.#lookAtFigures(stirred, "comparison");
    return true;
  }

  /** Deletes a cgroup. @returns false if there is none to be deleted now */
  deleteStep(): boolean {
    return this.#deletion.step();
  }

  /** Looks for those whose state is another than the events so far have told, one a step. */
  *differing(): Generator<void, Node[]> {
    const nodes: Node[] = [];
    for (const cgroup of this.#cgroups.values()) {
      if (this.#differs(cgroup)) nodes.push(cgroup.node);
      yield;
    }
    return nodes;
  }

  #differs({ node, phase, isUnused, isFound }: Cgroup<Node>): boolean {
    const isPopulated = this.#world.isPopulated(node);
    if (isPopulated === undefined || phase === "vanished") return false;
    if (isPopulated) return phase !== "populated";
    if (phase === "unseen" && isFound) return true;
    return phase === "populated" || (isUnused && this.#wasLeft(node));
  }

  /** Tries again to measure and delete what could not be when its turn came. */
  *retry(): Generator<void, void> {
    for (const cgroup of this.#cgroups.values()) {
      this.#release.retry(cgroup);
      this.#deletion.retry(cgroup);
      this.#deletion.sweepLater(cgroup);
      yield;
    }
  }

  /**
   * Measures what runs, one cgroup a step: a cgroup that somebody else removes then has
   * this for its last sample.
   */
  *measureRunning(tell?: (node: Node, snapshot: CgroupSnapshot) => void): Generator<void, void> {
    for (const cgroup of this.#cgroups.values()) {
      const { node, bornMs, report } = cgroup;
      if (cgroup.phase === "populated" && this.#world.isPopulated(node) === true) {
        const measured = this.#world.measure(node, bornMs);
        if (typeof measured !== "string") {
          cgroup.sample = measured;
          tell?.(node, { ...measured, report });
        }
      }
      yield;
    }
  }

  /**
   * Whether an empty cgroup that was never seen populated has been. It is looked at again:
   * its first process may have come between the first look and the figures.
   */
  #wasLeft(node: Node): boolean {
    return this.#world.wasUsed(node) && this.#world.isPopulated(node) === false;
  }

  #becamePopulated(cgroup: Cgroup<Node>): void {
    if (cgroup.phase === "released") {
      this.#counts.repopulatedCgroups++;
      this.#deletion.withdraw(cgroup);
    }
    cgroup.isStirred = false;
    cgroup.isFound = false;
    cgroup.phase = "populated";
  }

  #ranEmpty(cgroup: Cgroup<Node>): void {
    cgroup.isStirred = false;
    this.#release.ranEmpty(cgroup);
  }

  #ranAgain(cgroup: Cgroup<Node>): void {
    if (cgroup.phase === "released") this.#release.again(cgroup);
    else this.#ranEmpty(cgroup);
  }

  /** Its directory is gone. */
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
