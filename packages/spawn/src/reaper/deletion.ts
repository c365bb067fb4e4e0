/**
 * Decides when a released cgroup is deleted, and what happens to its children that were never used.
 *
 * Invariants:
 * - A cgroup is deleted when it has no children, and its latest release is journalled or was not
 *   reported.
 * - Right before the deletion it is checked again. If it is populated, the release is withdrawn; if
 *   it has used more than its release shows, it is released again.
 * - Each reported release, unless it is of a vanished cgroup, is later reported as deleted or
 *   withdrawn, or another release replaces it; after that, nothing of it is left here for longer
 *   than `KEPT_MS`.
 * - An unused cgroup is deleted only to make way for a cgroup above it that was used and waits for
 *   its own deletion, and not before `unusedMs` have passed since the unused cgroup was found and
 *   since the other one was released.
 */
import type { Cgroup, LifecycleCounts, LifecycleWorld, ReleaseState } from "./cgroup.ts";
import { Deadlines, Queue } from "./deadlines.ts";

/**
 * The time, in milliseconds, after which a release is handed over although its directory still
 * exists.
 */
const KEPT_MS = 10_000;

/** Receives the findings of the check before a deletion, and the result of the deletion. */
export interface DeletionListener<Node> {
  becamePopulated(cgroup: Cgroup<Node>): void;
  /** Called if the cgroup is empty and has used more CPU time than is known. */
  ranAgain(cgroup: Cgroup<Node>): void;
  wasDeleted(cgroup: Cgroup<Node>): void;
}

export class Deletion<Node> {
  readonly #world: LifecycleWorld<Node>;
  readonly #counts: LifecycleCounts;
  readonly #listener: DeletionListener<Node>;
  readonly #unusedMs: number;
  /** Releases that were reported and are not journalled yet. */
  readonly #waiting = new Map<number, Cgroup<Node>>();
  /** Cgroups that may be deleted now. */
  readonly #ready = new Queue<Cgroup<Node>>();
  /** Cgroups that could not be deleted. */
  readonly #stuck = new Deadlines<{ cgroup: Cgroup<Node>; release: ReleaseState }>(KEPT_MS);
  /** Released cgroups with unused children, and unused children that came later. */
  readonly #unused: Deadlines<Cgroup<Node>>;
  /** Deletes unused cgroups, one in each step. */
  #sweep: Generator<void, void> | undefined;

  constructor(
    world: LifecycleWorld<Node>,
    unusedMs: number,
    counts: LifecycleCounts,
    listener: DeletionListener<Node>,
  ) {
    this.#world = world;
    this.#unusedMs = unusedMs;
    this.#unused = new Deadlines(unusedMs);
    this.#counts = counts;
    this.#listener = listener;
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  /** Returns whether something may be deleted now. */
  get isBusy(): boolean {
    return this.#ready.length > 0 || this.#sweep !== undefined;
  }

  get nextMs(): number {
    return Math.min(this.#stuck.nextMs, this.#unused.nextMs);
  }

  /** Called when a cgroup was released, for the first time or again. */
  released(
    cgroup: Cgroup<Node>,
    release: Pick<ReleaseState, "number" | "isTold" | "maxUsec">,
  ): void {
    cgroup.release = { ...release, isJournalled: !release.isTold, isKept: false, isStuck: false };
    cgroup.releasedMs = this.#world.nowMs();
    this.sweepLater(cgroup);
    if (!release.isTold) this.#ready.add(cgroup);
    else {
      cgroup.told.push(release.number);
      this.#waiting.set(release.number, cgroup);
    }
  }

  /**
   * Allows the deletion of the cgroups of these releases, because their records are on the disk.
   */
  journalled(releases: readonly number[]): void {
    for (const number of releases) {
      const cgroup = this.#waiting.get(number);
      // The release may have been withdrawn, or the directory of the cgroup may be gone.
      if (cgroup?.release === undefined) continue;
      this.#waiting.delete(number);
      cgroup.release.isJournalled = true;
      this.#ready.add(cgroup);
    }
  }

  /** Withdraws the release of a cgroup that is populated again. */
  withdraw(cgroup: Cgroup<Node>): void {
    const number = this.replace(cgroup);
    if (number !== undefined) this.#world.withdrawn(number);
  }

  /**
   * Forgets the latest release of a cgroup.
   * @returns the number of the release, if it was reported and its record was not handed over
   */
  replace(cgroup: Cgroup<Node>): number | undefined {
    const { release } = cgroup;
    cgroup.release = undefined;
    if (release === undefined || !release.isTold || release.isKept) return undefined;
    this.#waiting.delete(release.number);
    cgroup.told = cgroup.told.filter((number) => number !== release.number);
    return release.number;
  }

  /** Ends the releases of a cgroup whose directory is gone. */
  ended(cgroup: Cgroup<Node>): void {
    for (const number of cgroup.told) {
      this.#waiting.delete(number);
      this.#world.deleted(number);
    }
    cgroup.release = undefined;
  }

  /**
   * Plans another attempt to delete a cgroup, because something may have changed since the last
   * one.
   */
  retry(cgroup: Cgroup<Node>): void {
    if (cgroup.phase === "released") this.#ready.add(cgroup);
  }

  /** Plans the deletion of unused cgroups below this one, if it is released. */
  sweepLater(cgroup: Cgroup<Node>): void {
    if (cgroup.phase === "released" && cgroup.hasChildren)
      this.#unused.add(cgroup, this.#world.nowMs());
  }

  /**
   * Called when a cgroup was added or has lost its last child: it may now be all that keeps the
   * cgroups above it from being deleted.
   */
  childChanged(child: Cgroup<Node>): void {
    if (child.isUnused && usedAncestor(child)?.phase === "released")
      this.#unused.add(child, this.#world.nowMs());
  }

  /**
   * Deletes a cgroup, or decides about one that cannot be deleted.
   * @returns false if there is nothing to do now
   */
  step(): boolean {
    if (this.#sweep !== undefined) {
      if (this.#sweep.next().done === true) this.#sweep = undefined;
      return true;
    }
    const ready = this.#ready.take();
    if (ready !== undefined) {
      this.#tryDelete(ready);
      return true;
    }
    const now = this.#world.nowMs();
    const unused = this.#unused.take(now);
    if (unused !== undefined) {
      this.#sweep = this.#sweepBelow(unused);
      return true;
    }
    const stuck = this.#stuck.take(now);
    if (stuck === undefined) return false;
    this.#keep(stuck.cgroup, stuck.release);
    return true;
  }

  #tryDelete(cgroup: Cgroup<Node>): void {
    const { release } = cgroup;
    if (cgroup.phase !== "released" || release?.isJournalled !== true) return;
    const removal = cgroup.hasChildren ? "busy" : this.#world.remove(cgroup.node, release.maxUsec);
    if (removal === "removed") this.#deleted(cgroup);
    else if (removal === "populated") this.#listener.becamePopulated(cgroup);
    else if (removal === "grown") this.#listener.ranAgain(cgroup);
    // Otherwise an event will follow: of the removal, of a new child that will be removed some
    // day, or of a process that came and went. The periodic check tries again too.
    else if (!release.isStuck) {
      release.isStuck = true;
      if (release.isTold) this.#stuck.add({ cgroup, release }, this.#world.nowMs());
    }
  }

  #deleted(cgroup: Cgroup<Node>): void {
    this.#counts.deletedCgroups++;
    this.#listener.wasDeleted(cgroup);
  }

  /** Tries once more to delete a cgroup; if that fails, reports that the cgroup stays. */
  #keep(cgroup: Cgroup<Node>, release: ReleaseState): void {
    this.#tryDelete(cgroup);
    if (cgroup.release !== release) return;
    release.isKept = true;
    cgroup.report++;
    this.#world.kept(release.number);
  }

  /**
   * Deletes unused cgroups.
   * @param start a released cgroup with unused children, or an unused cgroup below such a cgroup
   */
  *#sweepBelow(start: Cgroup<Node>): Generator<void, void> {
    const used = start.phase === "unused" ? usedAncestor(start) : start;
    if (used?.phase !== "released" || !this.#isOld(used.releasedMs)) return;
    if (start !== used) yield* this.#deleteUnused(start);
    else for (const child of start.children ?? []) yield* this.#deleteUnused(child);
  }

  /**
   * Deletes an unused cgroup, after those below it, and then the unused cgroups above it that have
   * no other child.
   */
  *#deleteUnused(top: Cgroup<Node>): Generator<void, void> {
    // The list has parents before their children.
    const all = [top];
    for (const { children } of all) for (const child of children ?? []) all.push(child);
    for (const cgroup of all.reverse()) {
      yield;
      this.#tryDeleteUnused(cgroup);
    }
    for (let above = top.parent; above?.phase === "unused"; above = above.parent) {
      yield;
      this.#tryDeleteUnused(above);
    }
  }

  #tryDeleteUnused(cgroup: Cgroup<Node>): void {
    if (cgroup.phase !== "unused" || cgroup.hasChildren || !this.#isOld(cgroup.knownMs)) return;
    // The cgroup above it may have been populated again since the sweep began.
    if (usedAncestor(cgroup)?.phase !== "released") return;
    const removal = this.#world.remove(cgroup.node, 0);
    if (removal === "removed") this.#deleted(cgroup);
    else if (removal === "populated") this.#listener.becamePopulated(cgroup);
    else if (removal === "grown") this.#listener.ranAgain(cgroup);
  }

  #isOld(sinceMs: number): boolean {
    return sinceMs + this.#unusedMs <= this.#world.nowMs();
  }
}

/** Returns the nearest cgroup above this one that is not unused. */
function usedAncestor<Node>(cgroup: Cgroup<Node>): Cgroup<Node> | undefined {
  let above = cgroup.parent;
  while (above?.isUnused === true) above = above.parent;
  return above;
}
