/** What the main thread and the namespace service's thread say to each other. */
import type { NamespaceKind } from "@cm4all/spawn-protocol";
import type { LogLine } from "../log.ts";
import type { Policy } from "./policy.ts";
import type { RequestType } from "./requests/statistics.ts";

/** What the thread starts with. */
export interface NamespaceOptions {
  /** The listening socket; the main thread owns it. */
  readonly listenerFd: number;
  /** The mount namespace of an earlier run's store, which the thread owns then. */
  readonly storeFd: number | undefined;
  /** The processes of the daemon's own cgroup; empty where it shares one. */
  readonly cgroupPids: readonly number[];
  readonly policy: Policy;
}

export type ToNamespaces =
  /** Begin to answer clients. */
  | { readonly kind: "serve" }
  | { readonly kind: "configure"; readonly policy: Policy }
  | { readonly kind: "ping"; readonly id: number }
  | { readonly kind: "status"; readonly id: number }
  /** End all names, or only those in which nothing runs. */
  | { readonly kind: "purge"; readonly id: number; readonly onlyIdle: boolean }
  /** Answer what has come, then end. The last one ends the inits of idle names as well. */
  | { readonly kind: "stop"; readonly isLast: boolean };

/** How many namespaces there are of each kind: `ipcNamespaces`, ... */
export type NamespaceCounts = { readonly [Kind in NamespaceKind as `${Kind}Namespaces`]: number };

export interface NamespaceStatus extends NamespaceCounts {
  readonly names: number;
  readonly leasedNames: number;
  readonly connections: number;
  readonly openHandles: number;
  readonly expiredNames: number;
  readonly sparedNames: number;
  readonly initDeaths: number;
  /** The longest that the thread was away from waiting, since the status before. */
  readonly longestTurnMs: number;
  readonly requests: {
    readonly answered: number;
    readonly answeredTotalMs: number;
    readonly byType: Readonly<Record<RequestType, number>>;
    /** See LATENCY_BUCKETS_MS. */
    readonly latencyCounts: readonly number[];
    readonly failed: number;
    readonly malformed: number;
    readonly refused: number;
  };
}

export type FromNamespaces =
  | { readonly kind: "log"; readonly line: LogLine }
  /** The store is open. Its descriptor stays the thread's. */
  | { readonly kind: "store"; readonly fd: number; readonly isNew: boolean }
  /** There is no store, for this reason; the thread ends. */
  | { readonly kind: "unusable"; readonly reason: string }
  | { readonly kind: "serving" }
  /** How many names there are now; at most once a second. */
  | { readonly kind: "changed"; readonly names: number }
  | { readonly kind: "pong"; readonly id: number }
  | { readonly kind: "status"; readonly id: number; readonly status: NamespaceStatus }
  | { readonly kind: "purged"; readonly id: number; readonly ended: number; readonly left: number };
