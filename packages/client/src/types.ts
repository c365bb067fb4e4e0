import type { Handle } from "./handle.ts";

export interface ClientOptions {
  /** A path, or `@NAME` for an abstract name; by default `@cm4all-spawn`. */
  readonly socket?: string;
  /** The time limit of a request in milliseconds, including the time to connect; default 10,000. */
  readonly timeoutMs?: number;
}

/**
 * The contents of a user namespace's `uid_map` and `gid_map`: lines of `INSIDE OUTSIDE
 * COUNT`. @see user_namespaces(7)
 */
export interface UserMap {
  readonly uidMap?: string | undefined;
  readonly gidMap?: string | undefined;
}

/** The things to ask for; at least one namespace or a lease. */
export interface Wanted {
  readonly ipc?: boolean;
  readonly pid?: boolean;
  /**
   * `true` for a user namespace without maps. A name has a separate user namespace for each set of
   * maps.
   */
  readonly user?: boolean | UserMap;
  /** While a lease is open, the namespaces of its name are kept. */
  readonly lease?: boolean;
}

/** The types of handles, in the order of their descriptors in an answer. */
export type HandleType = "ipc" | "pid" | "user" | "lease";

type HandleFor<Value> = Value extends false | undefined ? undefined : Handle;

/** A handle for each thing that was asked for. Closing the grant closes all its handles. */
export type Grant<W extends Wanted = Wanted> = Disposable & { close(): void } & {
  readonly [Type in HandleType]: Type extends keyof W ? HandleFor<W[Type]> : undefined;
};
