/**
 * The types of what the configuration says of the namespace service, and may say anew while it
 * runs. Who may ask is decided in requests/clients.ts, by the rules of requests/permission.ts.
 */

/** Whom the configuration allows besides root and holders of CAP_SYS_ADMIN. */
export interface AllowedPeers {
  readonly uids: ReadonlySet<number>;
  readonly gids: ReadonlySet<number>;
}

/** Limits that a busy host does not meet; whoever does is told which. */
export interface Quotas {
  readonly names: number;
  /** Of those, how many one uid may have made. */
  readonly namesPerUid: number;
  readonly userNamespaces: number;
  readonly userNamespacesPerName: number;
  readonly connections: number;
  readonly connectionsPerUid: number;
}

export interface Settings {
  readonly allowed: AllowedPeers;
  readonly quotas: Quotas;
  /** From a name's last use to its end. */
  readonly lifetimeMs: number;
}
