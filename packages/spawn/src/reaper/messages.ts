/** The dialogue between the main thread and the reaper's thread. */
import type { EncodedRecord } from "@cm4all/cgroup";
import type { ByteString } from "@cm4all/linux";
import type { Dialogue } from "../thread/dialogue.ts";
import type { ReaperMetrics } from "./metrics.ts";

/** How the reaper works. */
export interface ReaperOptions {
  /** Where cgroup2 is mounted. */
  readonly root: ByteString;
  /** See scopes.ts. */
  readonly scopes: readonly string[];
  /** From the moment when a cgroup ran empty until it is measured and deleted. */
  readonly deletionDelayMs: number;
  /** How often everything is compared with what the events have told. */
  readonly checkIntervalMs: number;
  /** How long a parent waits for children that were never used. */
  readonly unusedMs: number;
  /** How often running cgroups are measured for the script; 0: never. */
  readonly interimMs: number;
  readonly verbose: boolean;
  /** Whether a released cgroup is kept until it is journalled. */
  readonly accounting: boolean;
}

/** A cgroup that ran empty, or one that somebody else removed before it was measured. */
export interface Release {
  /** The number by which both sides speak of it; unique in a thread's life. */
  readonly number: number;
  readonly record: EncodedRecord;
  /** Removed by others before it was measured: nothing is to be deleted. */
  readonly vanished: boolean;
  /** It was empty when the thread began, which tells of it for the first time: an earlier thread may have told of it. */
  readonly isFound: boolean;
  /** An earlier release, journalled and not handed over, whose figures these include; no event follows for that one. */
  readonly replaces: number | undefined;
}

/** Declared once, for both threads. */
export interface ReaperDialogue extends Dialogue {
  readonly requests: {
    status(): ReaperMetrics;
  };
  readonly commands: {
    /**
     * The records of these releases are on the disk: their directories may go.
     * @param takenBytes of what was told, so much is not in memory any more
     */
    journalled(releases: readonly number[], takenBytes: number): void;
    /** From now on releases are told and kept until they are journalled, or neither. */
    setAccounting(wanted: boolean): void;
    /** From now on running cgroups are measured this often; 0: never. */
    setInterim(intervalMs: number): void;
    /** Deletes what is journalled, and ends the thread: the next one finds the rest. */
    stop(): void;
  };
  readonly events: {
    /** Each is to be journalled; those that vanished need no answer. */
    released(releases: readonly Release[]): void;
    /**
     * It is known what is there: late if the kernel refuses to show all of it at first.
     * @param populated have processes
     * @param empty were empty when they were found, or could not be looked at, and are yet to be told
     */
    scanned(populated: readonly string[], empty: readonly string[]): void;
    /** Their directories are gone; if others have removed them, perhaps before they were journalled. */
    deleted(releases: readonly number[]): void;
    /** Their directories cannot be deleted, and stay for now: they may be handed over. `deleted` follows. */
    kept(releases: readonly number[]): void;
    /** They have processes again: their records are to be forgotten. No event follows for them. */
    withdrawn(releases: readonly number[]): void;
    /** Running cgroups, measured. */
    interim(records: readonly EncodedRecord[]): void;
  };
}
