/**
 * Decides when a released cgroup is deleted, and what its parent does about children
 * that were never used.
 *
 * Invariants:
 * - A cgroup is deleted when its latest release is journalled, or was not told, and it has
 *   no children.
 * - Right before, it is looked at again. What was populated is withdrawn, what has used more
 *   than its release says is released again.
 * - A release is told to have been deleted or withdrawn, or another one replaces it; then
 *   nothing of it is left here.
 * - Unused cgroups go only to make way: below a cgroup that was used and waits for its
 *   deletion, after `unusedMs`.
 */
import type { Cgroup, LifecycleCounts, LifecycleWorld, ReleaseState } from "./cgroup.ts";
import { Deadlines, Queue } from "./deadlines.ts";

/** After so long a release is handed over though its directory is still there. */
const KEPT_MS = 10_000;

/** What a look right before the deletion, and the deletion, have shown. */
export interface DeletionListener<Node> {
  becamePopulated(cgroup: Cgroup<Node>): void;
  /** It is empty and has used more than is known. */
  ranAgain(cgroup: Cgroup<Node>): void;
  wasDeleted(cgroup: Cgroup<Node>): void;
}

export class Deletion<Node> {
  readonly #world: LifecycleWorld<Node>;
  readonly #counts: LifecycleCounts;
  readonly #listener: DeletionListener<Node>;
  readonly #unusedMs: number;
  /** Releases that were told and are not journalled. */
  readonly #waiting = new Map<number, Cgroup<Node>>();
  /** Those that may be deleted now. */
  readonly #ready = new Queue<Cgroup<Node>>();
  /** Those that could not be deleted. */
  readonly #stuck = new Deadlines<{ cgroup: Cgroup<Node>; release: ReleaseState }>(KEPT_MS);
  /** Released ones with unused children, and unused children that came later. */
  readonly #unused: Deadlines<Cgroup<Node>>;
  /** Deletes unused cgroups, one a step. */
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

  /** Whether something may be deleted now. */
  get isBusy(): boolean {
    return this.#ready.length > 0 || this.#sweep !== undefined;
  }

  get nextMs(): number {
    return Math.min(this.#stuck.nextMs, this.#unused.nextMs);
  }

  /** A cgroup was released, for the first time or again. */
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

  /** Lets the cgroups of these releases be deleted: their records are on the disk. */
  journalled(releases: readonly number[]): void {
    for (const number of releases) {
      const cgroup = this.#waiting.get(number);
      // Undefined if it was withdrawn, or its directory is gone.
      if (cgroup?.release === undefined) continue;
      this.#waiting.delete(number);
      cgroup.release.isJournalled = true;
      this.#ready.add(cgroup);
    }
  }

  /** A released cgroup is populated again. */
  withdraw(cgroup: Cgroup<Node>): void {
    const number = this.replace(cgroup);
    if (number !== undefined) this.#world.withdrawn(number);
  }

  /**
   * Forgets the latest release of a cgroup.
   * @returns its number if its record was not handed over
   */
  replace(cgroup: Cgroup<Node>): number | undefined {
    const { release } = cgroup;
    cgroup.release = undefined;
    if (release === undefined || !release.isTold || release.isKept) return undefined;
    this.#waiting.delete(release.number);
    cgroup.told = cgroup.told.filter((number) => number !== release.number);
    return release.number;
  }

  /** The directory of a cgroup is gone. */
  ended(cgroup: Cgroup<Node>): void {
    for (const number of cgroup.told) {
      this.#waiting.delete(number);
      this.#world.deleted(number);
    }
    cgroup.told = [];
    cgroup.release = undefined;
  }

  /** Something has happened to a cgroup since it could not be deleted. */
  retry(cgroup: Cgroup<Node>): void {
    if (cgroup.phase === "released") this.#ready.add(cgroup);
  }

  /** If it is released, unused cgroups in it have to make way. */
  sweepLater(cgroup: Cgroup<Node>): void {
    if (cgroup.phase === "released" && cgroup.hasChildren)
      this.#unused.add(cgroup, this.#world.nowMs());
  }

  /** A child came to a cgroup, or has lost one: it may be in the way of those above it. */
  childChanged(child: Cgroup<Node>): void {
    if (child.isUnused && usedAncestor(child)?.phase === "released")
      this.#unused.add(child, this.#world.nowMs());
  }

  /** Deletes a cgroup, or decides about one that cannot be. @returns false if there is none */
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
    // Else an event is on its way: of the removal, of a new child that will be removed
    // some day, of a process that came and went. The periodic check tries again too.
    else if (!release.isStuck) {
      release.isStuck = true;
      if (release.isTold) this.#stuck.add({ cgroup, release }, this.#world.nowMs());
    }
  }

  #deleted(cgroup: Cgroup<Node>): void {
    this.#counts.deletedCgroups++;
    this.#listener.wasDeleted(cgroup);
  }

  /** Its time is over: tries once more, and then says that it stays. */
  #keep(cgroup: Cgroup<Node>, release: ReleaseState): void {
    if (cgroup.release !== release) return;
    this.#tryDelete(cgroup);
    if (cgroup.release !== release) return;
    release.isKept = true;
    cgroup.report++;
    this.#world.kept(release.number);
  }

  /** @param start a released cgroup with unused children, or an unused one below it */
  *#sweepBelow(start: Cgroup<Node>): Generator<void, void> {
    const used = start.phase === "unused" ? usedAncestor(start) : start;
    if (used?.phase !== "released" || !this.#isOld(used.releasedMs)) return;
    if (start !== used) yield* this.#deleteUnused(start);
    else for (const child of start.children ?? []) yield* this.#deleteUnused(child);
  }

  /** Deletes an unused cgroup, those below it first, and those above that are left empty. */
  *#deleteUnused(top: Cgroup<Node>): Generator<void, void> {
    // Parents come before their children here.
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
    const removal = this.#world.remove(cgroup.node, 0);
    if (removal === "removed") this.#deleted(cgroup);
    else if (removal === "populated") this.#listener.becamePopulated(cgroup);
    else if (removal === "grown") this.#listener.ranAgain(cgroup);
  }

  #isOld(sinceMs: number): boolean {
    return sinceMs + this.#unusedMs <= this.#world.nowMs();
  }
}

/** Returns the nearest cgroup above that is not unused. */
function usedAncestor<Node>(cgroup: Cgroup<Node>): Cgroup<Node> | undefined {
  let above = cgroup.parent;
  while (above?.isUnused === true) above = above.parent;
  return above;
}
