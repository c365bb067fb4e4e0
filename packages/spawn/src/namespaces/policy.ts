/** What the configuration says of the namespace service, and may say anew while it runs. */
import type { AllowedPeers } from "./requests/permission.ts";

/** Limits that a busy host does not meet; whoever does is told which. */
export interface Quotas {
  readonly names: number;
  readonly userNamespacesPerName: number;
  readonly connections: number;
  readonly connectionsPerUid: number;
}

export interface Policy {
  readonly allowed: AllowedPeers;
  readonly quotas: Quotas;
  /** From a name's last use to its end. */
  readonly lifetimeMs: number;
}
