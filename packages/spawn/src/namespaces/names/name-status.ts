/** What administrators are shown of names. */
import { forEachKind, type NamespaceKind } from "@cm4all/spawn-protocol";
import { monotonicMs } from "../../thread/event-loop.ts";
import type { FileIdentity } from "./leases.ts";
import type { NamespaceSet } from "./namespace-set.ts";
import type { Registry } from "./registry.ts";

/** What is kept under a name. */
export interface NameStatus {
  readonly name: string;
  /** Who made it; undefined if nobody knows. */
  readonly uid?: number | undefined;
  /** How many namespaces of each kind it has. */
  readonly namespaces: Readonly<Record<NamespaceKind, number>>;
  readonly isLeased: boolean;
  /** Since its last use; undefined while it is leased. */
  readonly idleSeconds?: number | undefined;
  /** The init of its PID namespace, and the inode of that. */
  readonly init?: { readonly pid: number; readonly inode: number } | undefined;
  /** The pipe whose writers hold its leases; undefined before the first. */
  readonly leasePipe?: FileIdentity | undefined;
}

/** Returns up to `limit` names that come behind `after`, in order. */
export function listNames(registry: Registry, after: string, limit: number): NameStatus[] {
  const names: string[] = [];
  for (const { name } of registry.sets()) if (name > after) names.push(name);
  names.sort(compare);
  return names.slice(0, limit).flatMap((name) => findName(registry, name) ?? []);
}

/** Returns undefined if there is no such name. */
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

/** As the operators `<` and `>`, which pages are cut by. */
function compare(one: string, other: string): number {
  return one < other ? -1 : one > other ? 1 : 0;
}
