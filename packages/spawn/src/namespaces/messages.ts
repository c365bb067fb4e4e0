/** The dialogue between the main thread and the namespace service's thread. */
import type { LogLine } from "../log/log.ts";
import type { Dialogue } from "../thread/dialogue.ts";
import type { NamespaceMetrics } from "./metrics.ts";
import type { NameStatus } from "./names/name-status.ts";
import type { Settings } from "./settings.ts";

/** What the thread starts with. */
export interface NamespaceOptions {
  /** The listening sockets; the main thread owns them. */
  readonly listenerFds: readonly number[];
  /** The mount namespace of an earlier run's store, which the thread owns then. */
  readonly storeFd: number | undefined;
  /** The processes of the daemon's own cgroup; empty where it shares one. */
  readonly cgroupPids: readonly number[];
  readonly settings: Settings;
}

/** Declared once, for both threads. */
export interface NamespaceDialogue extends Dialogue {
  readonly requests: {
    /** Returns the store, which is open by then. */
    store(): OpenStore;
    /** Begins to answer clients. */
    serve(): void;
    /** Answers when the thread has come round its loop. */
    ping(): void;
    status(): NamespaceMetrics;
    /** Returns up to `limit` names that come behind `after` in the order of their bytes. */
    names(after: string, limit: number): NameStatus[];
    /** Returns undefined if there is no such name. */
    name(name: string): NameStatus | undefined;
    /**
     * Ends names, or of these only those that are not leased and in which nothing runs.
     * @param names those that are meant; undefined for all
     */
    purge(onlyIdle: boolean, names: readonly string[] | undefined): PurgeResult;
  };
  readonly commands: {
    configure(settings: Settings): void;
    /**
     * Answers what has come and ends the thread.
     * @param isLast no other daemon takes over the namespaces: the idle ones are ended
     */
    stop(isLast: boolean): void;
  };
  readonly events: {
    log(line: LogLine): void;
    /** There is no store, for this reason; the thread ends. */
    unusable(reason: string): void;
    /** How many names there are now; at most once a second. */
    changed(names: number): void;
  };
}

export interface OpenStore {
  /** The descriptor of its mount namespace. It stays the thread's. */
  readonly fd: number;
  readonly isNew: boolean;
}

/** The number of names. */
export interface PurgeResult {
  readonly ended: number;
  readonly left: number;
}
