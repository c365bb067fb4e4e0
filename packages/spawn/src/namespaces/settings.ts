/**
 * The settings of the namespace service. A reload of the configuration may change them while the
 * service runs. requests/clients.ts decides who may make requests, by the rules of
 * requests/permission.ts.
 */

/** The peers that the configuration allows, in addition to root and holders of CAP_SYS_ADMIN. */
export interface AllowedPeers {
  readonly uids: ReadonlySet<number>;
  readonly gids: ReadonlySet<number>;
}

/**
 * Limits that are not reached in normal use, even on a busy host. A client that exceeds a limit
 * gets an error that names the limit.
 */
export interface Quotas {
  readonly names: number;
  /** The number of names that one uid may have made. */
  readonly namesPerUid: number;
  readonly userNamespaces: number;
  readonly userNamespacesPerName: number;
  readonly connections: number;
  readonly connectionsPerUid: number;
}

export interface Settings {
  readonly allowed: AllowedPeers;
  readonly quotas: Quotas;
  /** The time from a name's last use to its end, in milliseconds. */
  readonly lifetimeMs: number;
}
