/** What `Lifecycle` and its stages work with: a cgroup, and the world in which it lives. */
import { type CgroupMeasurement, type CgroupSnapshot, figureEntries } from "@cm4all/cgroup";
import type { Removal } from "./cgroup-files.ts";
import type { ReaperCounts } from "./metrics.ts";

/** The stages in the life of a cgroup. */
export type Phase =
  /** The cgroup was found, but its state has not been read yet. */
  | "unseen"
  /** No process has been seen in it yet. */
  | "unused"
  | "populated"
  /** It has become empty; it is measured after its delay, and after its children. */
  | "empty"
  /** It was measured in its present state, and is deleted once the figures are journalled. */
  | "released"
  /**
   * Its directory is gone. It was released as vanished, but the tree has not reported the removal
   * yet.
   */
  | "vanished";

/** A release of a cgroup, to be reported to the main thread. */
export interface LifecycleRelease {
  readonly number: number;
  readonly snapshot: CgroupSnapshot;
  readonly vanished: boolean;
  readonly isFound: boolean;
  readonly replaces: number | undefined;
}

/** The state of the latest release of a cgroup. */
export interface ReleaseState {
  readonly number: number;
  /** True if it was reported, and therefore has to be journalled before the deletion. */
  readonly isTold: boolean;
  /** True if it is journalled or need not be: only the deletion is left. */
  isJournalled: boolean;
  /** True if it was reported that the directory cannot be deleted. */
  isKept: boolean;
  /** True if a deletion has failed. */
  isStuck: boolean;
  /** CPU time beyond this means that the cgroup has run again. */
  readonly maxUsec: number | undefined;
}

/** @typeParam Node stands for a cgroup's directory */
export class Cgroup<Node> {
  readonly node: Node;
  readonly parent: Cgroup<Node> | undefined;
  /** The time at which its creation was observed, in milliseconds since 1970. */
  readonly bornMs: number | undefined;
  /** The time at which it became known, on the world's clock. */
  readonly knownMs: number;
  #phase: Phase = "unseen";
  /** While it is unused: true if an event has come that the cgroup's figures do not explain. */
  isStirred = false;
  /**
   * True if it existed when the thread began, and has neither been seen populated nor been reported
   * since: an earlier thread may have reported it.
   */
  isFound = false;
  /** Undefined until the first child is added: most cgroups have none. */
  children: Set<Cgroup<Node>> | undefined;
  /** The number of children that were used and are not released. */
  openChildren = 0;
  /** The time at which it became empty. */
  emptyMs = 0;
  /** The time from which it may be measured. */
  dueMs = 0;
  /** The number of its next report, or of the latest one if that was not handed over. */
  report = 1;
  /** The figures that were last reported. */
  last: CgroupSnapshot | undefined;
  /** The latest figures that were measured since the last report, while it ran. */
  sample: CgroupMeasurement | undefined;
  release: ReleaseState | undefined;
  /** The time at which it was released. */
  releasedMs = 0;
  /** The numbers of its releases for which the deletion of the cgroup is still to be reported. */
  told: number[] = [];

  constructor(
    node: Node,
    parent: Cgroup<Node> | undefined,
    bornMs: number | undefined,
    knownMs: number,
  ) {
    this.node = node;
    this.parent = parent;
    this.bornMs = bornMs;
    this.knownMs = knownMs;
  }

  get phase(): Phase {
    return this.#phase;
  }

  set phase(phase: Phase) {
    const wasOpen = this.isOpen;
    this.#phase = phase;
    if (this.parent !== undefined)
      this.parent.openChildren += Number(this.isOpen) - Number(wasOpen);
  }

  /**
   * Takes as the last sample the figures that could be read while somebody was removing the cgroup.
   * Those that are missing stay as they were last measured.
   */
  addRemains(remains: CgroupMeasurement): void {
    const before = this.sample ?? this.last;
    const missing = figureEntries.filter(([name]) => remains[name] === undefined);
    const known = Object.fromEntries(missing.map(([name]) => [name, before?.[name]]));
    this.sample = { ...remains, ...known };
  }

  get hasChildren(): boolean {
    return this.children !== undefined && this.children.size > 0;
  }

  /**
   * Returns whether it was used and is not released. While it is open, its parent is not released
   * either.
   */
  get isOpen(): boolean {
    return this.#phase === "populated" || this.#phase === "empty";
  }

  /** Returns whether no process has been seen in it; also true if it has not been looked at yet. */
  get isUnused(): boolean {
    return this.#phase === "unused" || this.#phase === "unseen";
  }
}

/** The questions that `Lifecycle` and its stages ask, and the actions that they take. */
export interface LifecycleWorld<Node> {
  /** Returns the milliseconds of a clock that never jumps. */
  nowMs(): number;
  /** Returns whether a process lives in the cgroup or below; undefined if that cannot be read. */
  isPopulated(node: Node): boolean | undefined;
  /** Returns whether a process has ever lived in the cgroup. */
  wasUsed(node: Node): boolean;
  /** Returns whether another release may be reported; if not, cgroups that became empty wait. */
  mayRelease(): boolean;
  /**
   * Returns whether there is room for releases of cgroups that were found at the start, which are
   * reported even without accounting.
   */
  hasRoom(): boolean;
  /**
   * Measures a cgroup.
   * @param remains called before "gone" is returned, with the figures that could be read, if the
   *   cgroup was removed while it was measured
   */
  measure(
    node: Node,
    bornMs: number | undefined,
    remains: (figures: CgroupMeasurement) => void,
  ): CgroupMeasurement | "gone" | "unreadable";
  /** Returns what is known of a cgroup that is gone. */
  identify(node: Node, bornMs: number | undefined): CgroupMeasurement;
  /**
   * Checks a cgroup once more and deletes it.
   * @param maxUsec the cgroup stays if it has used more CPU time than this
   */
  remove(node: Node, maxUsec: number | undefined): Removal;
  /**
   * Called when a cgroup has been released or has vanished.
   * @param before the figures that were last reported, which the new ones include
   * @returns whether the release is reported: the cgroup is then kept until the release is
   *   journalled
   */
  released(node: Node, release: LifecycleRelease, before: CgroupSnapshot | undefined): boolean;
  withdrawn(release: number): void;
  kept(release: number): void;
  deleted(release: number): void;
}

/** The counters of the reaper that `Lifecycle` and its stages increase. */
export type LifecycleCounts = Pick<
  ReaperCounts,
  "releasedCgroups" | "deletedCgroups" | "vanishedCgroups" | "unseenCgroups" | "repopulatedCgroups"
>;

/** The times that are the same for all cgroups. */
export interface LifecycleTimes {
  readonly deletionDelayMs: number;
  readonly unusedMs: number;
}
