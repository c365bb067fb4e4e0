/** The status of names, as administrators see it. */
import { forEachKind, type NamespaceKind } from "@cm4all/spawn-protocol";
import { monotonicMs } from "../../thread/event-loop.ts";
import type { FileIdentity } from "./leases.ts";
import type { NamespaceSet } from "./namespace-set.ts";
import type { Registry } from "./registry.ts";

/** The status of one name. */
export interface NameStatus {
  readonly name: string;
  /** The uid that made the name; undefined if it is not known. */
  readonly uid?: number | undefined;
  /** The number of namespaces of each kind. */
  readonly namespaces: Readonly<Record<NamespaceKind, number>>;
  readonly isLeased: boolean;
  /** Seconds since its last use; undefined while it is leased. */
  readonly idleSeconds?: number | undefined;
  /** The init of its PID namespace, and the inode of that namespace. */
  readonly init?: { readonly pid: number; readonly inode: number } | undefined;
  /** The FIFO whose writers hold its leases; undefined before the first lease. */
  readonly leasePipe?: FileIdentity | undefined;
}

/** Returns the status of up to `limit` names that follow `after` in byte order. */
export function listNames(registry: Registry, after: string, limit: number): NameStatus[] {
  const names: string[] = [];
  for (const { name } of registry.sets()) if (name > after) names.push(name);
  names.sort(compare);
  return names.slice(0, limit).flatMap((name) => findName(registry, name) ?? []);
}

/** Returns the status of a name; undefined if there is no such name. */
export function findName(registry: Registry, name: string): NameStatus | undefined {
  const set = registry.get(name);
  return set === undefined ? undefined : describe(registry, set);
}

function describe(registry: Registry, set: NamespaceSet): NameStatus {
  const namespaces = forEachKind(() => 0);
  for (const kind of set.kinds()) namespaces[kind]++;
  const usedMs = registry.lastUseMs(set);
  const { name, uid, isLeased, init, leasePipe } = set;
  return {
    name,
    uid,
    namespaces,
    isLeased,
    idleSeconds: usedMs === undefined ? undefined : (monotonicMs() - usedMs) / 1000,
    init: init === undefined ? undefined : { pid: init.pid, inode: init.inode },
    leasePipe,
  };
}

/** Compares as `>` does in listNames, so that no name is left out from one call to the next. */
function compare(one: string, other: string): number {
  return one < other ? -1 : one > other ? 1 : 0;
}
