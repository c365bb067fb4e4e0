/** The dialogue between the main thread and the reaper's thread. */
import type { EncodedRecord } from "@cm4all/cgroup";
import type { ByteString } from "@cm4all/linux";
import type { Dialogue } from "../thread/dialogue.ts";
import type { ReaperMetrics } from "./metrics.ts";

/** The options of the reaper. */
export interface ReaperOptions {
  /** The mount point of cgroup2. */
  readonly root: ByteString;
  /** The scopes; see scopes.ts. */
  readonly scopes: readonly string[];
  /** The time from the moment when a cgroup becomes empty until it is measured and deleted. */
  readonly deletionDelayMs: number;
  /** The interval at which the cgroups are compared with what the events have reported. */
  readonly checkIntervalMs: number;
  /** The minimum time from the release of a cgroup to the deletion of its unused children. */
  readonly unusedMs: number;
  /** The interval at which running cgroups are measured for the script; 0: never. */
  readonly interimMs: number;
  readonly verbose: boolean;
  /** True if a released cgroup is kept until it is journalled. */
  readonly accounting: boolean;
}

/**
 * The release of a cgroup that became empty, or that somebody else removed before it was measured.
 */
export interface Release {
  /** The number that both sides use for this release; unique within the life of a thread. */
  readonly number: number;
  readonly record: EncodedRecord;
  /** True if somebody else removed the cgroup before it was measured: nothing is to be deleted. */
  readonly vanished: boolean;
  /**
   * True if this is the first report of a cgroup that existed when the thread began and was not
   * seen populated: an earlier thread may have reported it.
   */
  readonly isFound: boolean;
  /**
   * The number of an earlier release, journalled and not handed over, whose figures this one
   * includes; no event follows for the earlier release.
   */
  readonly replaces: number | undefined;
}

/** The requests and messages of both sides, declared once for both threads. */
export interface ReaperDialogue extends Dialogue {
  readonly requests: {
    status(): ReaperMetrics;
  };
  readonly commands: {
    /**
     * The records of these releases are on the disk: their directories may be deleted.
     * @param takenBytes the number of bytes of reported records that have left the main thread's
     *   memory since the last command
     */
    journalled(releases: readonly number[], takenBytes: number): void;
    /**
     * Sets whether, from now on, releases are reported, and their cgroups kept until the releases
     * are journalled.
     */
    setAccounting(wanted: boolean): void;
    /** Sets the interval at which running cgroups are measured from now on; 0: never. */
    setInterim(intervalMs: number): void;
    /** Deletes what is journalled, and ends the thread: the next thread finds the rest. */
    stop(): void;
  };
  readonly events: {
    /** Each release is to be journalled; those of vanished cgroups need no answer. */
    released(releases: readonly Release[]): void;
    /**
     * Everything that existed at startup is known. This event comes late if the kernel at first
     * refuses to show some of it.
     * @param populated the ids of cgroups that have processes, or have had some since the start
     * @param empty the ids of cgroups that were empty when they were found, or could not be
     *   looked at, and are yet to be reported
     */
    scanned(populated: readonly string[], empty: readonly string[]): void;
    /**
     * The directories of these releases are gone. If others removed them, the journal may not have
     * the records yet.
     */
    deleted(releases: readonly number[]): void;
    /**
     * The directories of these releases cannot be deleted, and stay for now: the releases may be
     * handed over. `deleted` follows when the directories are gone.
     */
    kept(releases: readonly number[]): void;
    /**
     * The cgroups of these releases have processes again: the records of the releases are to be
     * forgotten. No event follows for these releases.
     */
    withdrawn(releases: readonly number[]): void;
    /** The measurements of running cgroups. */
    interim(records: readonly EncodedRecord[]): void;
  };
}
