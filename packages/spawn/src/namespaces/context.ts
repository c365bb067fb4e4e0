import type { Fd } from "@cm4all/linux";
import type { Logger } from "../log.ts";
import type { LogOnce } from "../log-once.ts";
import type { Engine } from "./engine.ts";
import type { HandleCache } from "./handle-cache.ts";
import type { AllowedPeers } from "./permission.ts";
import type { Store } from "./store.ts";

/** A namespace that is kept: the key of its open descriptor. */
export interface Namespace {
  readonly file: "ipc" | "pid" | `user-${number}`;
}

/** Limits that a busy host does not meet; whoever does is told which. */
export interface Quotas {
  readonly names: number;
  readonly userNamespacesPerName: number;
  readonly connections: number;
  readonly connectionsPerUid: number;
}

/** What the configuration says, and may say anew while the service runs. */
export interface Policy {
  readonly allowed: AllowedPeers;
  readonly quotas: Quotas;
  /** From a name's last use to its end. */
  readonly lifetimeMs: number;
}

/** What the parts of the namespace service share. */
export interface Context {
  readonly store: Store;
  readonly engine: Engine;
  readonly handles: HandleCache<Namespace>;
  /** The daemon's own PID namespace. */
  readonly ownPidNamespace: Fd;
  policy: Policy;
  readonly log: Logger;
  /** For what may happen again and again, though not at the will of strangers. */
  readonly logOnce: LogOnce;
}
