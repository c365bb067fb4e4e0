/** The dialogue between the main thread and the namespace service's thread. */
import type { LogLine } from "../log/log.ts";
import type { Dialogue } from "../thread/dialogue.ts";
import type { NamespaceMetrics } from "./metrics.ts";
import type { NameStatus } from "./names/name-status.ts";
import type { Settings } from "./settings.ts";

/** The options with which the thread starts. */
export interface NamespaceOptions {
  /** The listening sockets, which the main thread owns. */
  readonly listenerFds: readonly number[];
  /** The mount namespace of an earlier run's store. Ownership passes to the thread. */
  readonly storeFd: number | undefined;
  /** The processes of the daemon's own cgroup; empty if it shares the cgroup with others. */
  readonly cgroupPids: readonly number[];
  readonly settings: Settings;
}

/** The requests and messages of both sides, declared once for both threads. */
export interface NamespaceDialogue extends Dialogue {
  readonly requests: {
    /** Returns the store once it is open. */
    store(): OpenStore;
    /** Begins to answer clients. */
    serve(): void;
    /** Answers as soon as the thread's loop handles the message. */
    ping(): void;
    status(): NamespaceMetrics;
    /** Returns the status of up to `limit` names that follow `after` in byte order. */
    names(after: string, limit: number): NameStatus[];
    /** Returns undefined if there is no such name. */
    name(name: string): NameStatus | undefined;
    /**
     * Ends names; with `onlyIdle`, only those that are not leased and in which no process runs.
     * @param names the names that may be ended; undefined for all
     */
    purge(onlyIdle: boolean, names: readonly string[] | undefined): PurgeResult;
  };
  readonly commands: {
    configure(settings: Settings): void;
    /**
     * Answers the requests that have arrived and ends the thread.
     * @param isLast true if no other daemon takes over the namespaces: the inits of idle names are
     *   then killed
     */
    stop(isLast: boolean): void;
  };
  readonly events: {
    log(line: LogLine): void;
    /** Reports why the thread cannot have a store. The thread then ends. */
    unusable(reason: string): void;
    /** Reports that the number of names has changed; at most once a second. */
    changed(names: number): void;
  };
}

export interface OpenStore {
  /** The descriptor of the store's mount namespace. The thread owns it. */
  readonly fd: number;
  readonly isNew: boolean;
}

/** The number of names that were ended, and of those that are left. */
export interface PurgeResult {
  readonly ended: number;
  readonly left: number;
}
