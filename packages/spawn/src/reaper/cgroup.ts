/** What the decisions about cgroups are made of: a cgroup, and the world that it lives in. */
import type { CgroupMeasurement, CgroupSnapshot } from "@cm4all/cgroup";
import type { Removal } from "./cgroup-files.ts";
import type { ReaperCounts } from "./metrics.ts";

/** How far a cgroup has come. */
export type Phase =
  /** It was found, but its state could not be read yet. */
  | "unseen"
  /** No process has been seen in it yet. */
  | "unused"
  | "populated"
  /** It has run empty; it is measured after its delay, and after its children. */
  | "empty"
  /** It was measured as it is, and is deleted when that is journalled. */
  | "released"
  /** Its directory is gone and that was told; the tree's word is yet to come. */
  | "vanished";

/** The release of a cgroup, as it is told. */
export interface LifecycleRelease {
  readonly number: number;
  readonly snapshot: CgroupSnapshot;
  readonly vanished: boolean;
  readonly isFound: boolean;
  readonly replaces: number | undefined;
}

/** What has become of the latest release of a cgroup. */
export interface ReleaseState {
  readonly number: number;
  /** Whether it was told, and so is to be journalled. */
  readonly isTold: boolean;
  /** Whether nothing is waited for but the deletion. */
  isJournalled: boolean;
  /** Whether it was told that the directory cannot be deleted. */
  isKept: boolean;
  /** Whether a deletion was tried in vain. */
  isStuck: boolean;
  /** More CPU time than this is another run. */
  readonly maxUsec: number | undefined;
}

/** @typeParam Node what stands for a cgroup's directory */
export class Cgroup<Node> {
  readonly node: Node;
  readonly parent: Cgroup<Node> | undefined;
  /** When it was seen being created, milliseconds since 1970. */
  readonly bornMs: number | undefined;
  /** Since when it is known, on the world's clock. */
  readonly knownMs: number;
  #phase: Phase = "unseen";
  /** Whether an event came that its figures do not explain. */
  isStirred = false;
  isFromStart = false;
  /** Whether it was there at the start, and was neither seen populated nor told since: an earlier thread may have told of it. */
  isFound = false;
  /** Undefined until the first is added: most have none. */
  children: Set<Cgroup<Node>> | undefined;
  /** How many of them were used and are not released. */
  openChildren = 0;
  /** When it ran empty, and from when on it may be measured. */
  emptyMs = 0;
  dueMs = 0;
  /** The number of its next report, or of the latest one if that is not handed over. */
  report = 1;
  /** What was told of it last. */
  last: CgroupSnapshot | undefined;
  /** What was measured while it ran, since then. */
  sample: CgroupMeasurement | undefined;
  release: ReleaseState | undefined;
  /** When it was released. */
  releasedMs = 0;
  /** The releases whose records wait for the end of the directory. */
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

  get hasChildren(): boolean {
    return this.children !== undefined && this.children.size > 0;
  }

  /** Whether it was used and is not released: until then its parent is not either. */
  get isOpen(): boolean {
    return this.#phase === "populated" || this.#phase === "empty";
  }

  /** Whether no process has been seen in it, as far as it could be looked at. */
  get isUnused(): boolean {
    return this.#phase === "unused" || this.#phase === "unseen";
  }
}

/** What the decisions ask, and what they want done. */
export interface LifecycleWorld<Node> {
  /** Milliseconds of a clock that never jumps. */
  nowMs(): number;
  /** Whether a process lives in it or below; undefined if it cannot be read. */
  isPopulated(node: Node): boolean | undefined;
  /** Whether a process has ever lived in it. */
  wasUsed(node: Node): boolean;
  /** Whether another release can be told; until then cgroups that ran empty wait. */
  mayRelease(): boolean;
  /** Whether there is room for what is told in any case, as of those that were found. */
  hasRoom(): boolean;
  measure(node: Node, bornMs: number | undefined): CgroupMeasurement | "gone" | "unreadable";
  /** Returns what is known of a cgroup that is gone. */
  identify(node: Node, bornMs: number | undefined): CgroupMeasurement;
  /** Looks at it again and deletes it. @param maxUsec it stays if it has used more CPU time */
  remove(node: Node, maxUsec: number | undefined): Removal;
  /**
   * A cgroup was released, or has vanished.
   * @param before what was told of it before, whose figures these include
   * @returns whether the release is told: then it is kept until it is journalled
   */
  released(node: Node, release: LifecycleRelease, before: CgroupSnapshot | undefined): boolean;
  withdrawn(release: number): void;
  kept(release: number): void;
  deleted(release: number): void;
}

/** What of the reaper is counted by the decisions. */
export type LifecycleCounts = Pick<
  ReaperCounts,
  "releasedCgroups" | "deletedCgroups" | "vanishedCgroups" | "unseenCgroups" | "repopulatedCgroups"
>;

/** Times that are the same for all cgroups. */
export interface LifecycleTimes {
  readonly deletionDelayMs: number;
  readonly unusedMs: number;
}
