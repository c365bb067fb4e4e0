/** The dialogue between the main thread and the reaper's thread. */
import type { CgroupSnapshot } from "@cm4all/cgroup";
import type { ByteString } from "@cm4all/linux";
import type { Dialogue } from "../thread/dialogue.ts";
import type { ReaperMetrics } from "./metrics.ts";

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
    status(): ReaperMetrics;
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
