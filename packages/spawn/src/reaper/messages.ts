/** The dialogue between the main thread and the reaper's thread. */
import type { CgroupSnapshot } from "@cm4all/cgroup";
import type { ByteString } from "@cm4all/linux";
import type { Dialogue } from "../thread/dialogue.ts";
import type { ScopeTotals } from "./totals.ts";

/** How the reaper works. */
export interface ReaperOptions {
  /** Where cgroup2 is mounted. */
  readonly root: ByteString;
  /** See scopes.ts. */
  readonly scopes: readonly string[];
  /** From a cgroup's release to its deletion. */
  readonly deletionDelayMs: number;
  /** How often everything is compared with what the events have told. */
  readonly checkIntervalMs: number;
  readonly verbose: boolean;
  /** Whether a released cgroup is kept until it is settled. */
  readonly accounting: boolean;
}

/** A cgroup that ran empty, or one that somebody else removed before it was measured. */
export interface Release {
  /** The number by which it is settled. */
  readonly number: number;
  readonly vanished: boolean;
  readonly snapshot: CgroupSnapshot;
}

/** Declared once, for both threads. */
export interface ReaperDialogue extends Dialogue {
  readonly requests: {
    status(): ReaperStatus;
  };
  readonly commands: {
    /** The handlers of these releases have returned, or they were given up. */
    settle(releases: readonly number[]): void;
    /** From now on releases are told and kept until they are settled, or neither. */
    setAccounting(wanted: boolean): void;
    /** Deletes what is settled, without its delay, and ends the thread. */
    stop(): void;
  };
  readonly events: {
    /** Each is to be settled, if it has not vanished. */
    released(releases: readonly Release[]): void;
  };
}

/** Numbers since the thread was started; the first four are those of now. */
export interface ReaperStatus {
  /** Managed cgroups that are known. */
  readonly watched: number;
  /** Released cgroups whose handler has not returned. */
  readonly waiting: number;
  readonly inotifyWatches: number;
  /** Directories that the kernel gave no watch for. */
  readonly unwatched: number;
  readonly released: number;
  readonly deleted: number;
  /** Used cgroups that somebody else removed before they were measured. */
  readonly vanished: number;
  /** How often a cgroup ran again before it was deleted. */
  readonly repopulated: number;
  /** How often the kernel lost events and everything was compared. */
  readonly rescans: number;
  /** What only the periodic check found. */
  readonly missed: number;
  readonly scopes: readonly ScopeTotals[];
  /** The longest that the thread has worked without looking for the next event. */
  readonly longestTurnMs: number;
}
