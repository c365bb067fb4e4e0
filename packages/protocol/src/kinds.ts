/**
 * The kinds of namespaces. This is the only place where the protocol distinguishes between them:
 * requests, answers, the client, statistics, status and metrics are derived from this table. The
 * numbers are in commands.ts. For a new kind, the compiler requires an entry in the daemon's
 * table (spawn, namespaces/names/kinds.ts) and in the client's types (client, types.ts).
 */
import { CLONE_NEWIPC, CLONE_NEWPID, CLONE_NEWUSER, RequestCommand } from "./commands.ts";

interface KindFacts {
  /**
   * The name for programs: that of the file in `/proc/PID/ns`, and the key in status and metrics.
   */
  readonly kind: string;
  /** The name for people. */
  readonly title: string;
  /** The command of the packet that requests such a namespace. */
  readonly command: number;
  /** The flag that stands for the kind in NAMESPACE_HANDLES. */
  readonly flag: number;
  /** True if the packet may have a payload; a name then has a namespace for each payload. */
  readonly takesPayload: boolean;
}

/** The kinds in the order of an answer's descriptors. */
export const NAMESPACE_KINDS = [
  {
    kind: "ipc",
    title: "IPC",
    command: RequestCommand.IPC_NAMESPACE,
    flag: CLONE_NEWIPC,
    takesPayload: false,
  },
  {
    kind: "pid",
    title: "PID",
    command: RequestCommand.PID_NAMESPACE,
    flag: CLONE_NEWPID,
    takesPayload: false,
  },
  {
    kind: "user",
    title: "user",
    command: RequestCommand.USER_NAMESPACE,
    flag: CLONE_NEWUSER,
    takesPayload: true,
  },
] as const satisfies readonly KindFacts[];

/**
 * The maximum number of descriptors in an answer: one for each kind and one for a lease. Existing
 * clients have room for the four descriptors that they can request.
 */
export const MAX_RESPONSE_DESCRIPTORS = NAMESPACE_KINDS.length + 1;

/** A row of the table. */
export type KindRow = (typeof NAMESPACE_KINDS)[number];

export type NamespaceKind = KindRow["kind"];

/**
 * A choice of kinds, such as those that are requested. The value of a chosen kind is its payload or
 * true.
 */
export type Choice = {
  readonly [Kind in NamespaceKind]?: Uint8Array | boolean | undefined;
};

/** Returns a record with a value for each kind. */
export function forEachKind<T>(value: (row: KindRow) => T): Record<NamespaceKind, T> {
  const entries = NAMESPACE_KINDS.map((row) => [row.kind, value(row)]);
  return Object.fromEntries(entries) as Record<NamespaceKind, T>;
}

/** The rows of the table by kind. */
export const KINDS: Readonly<Record<NamespaceKind, KindRow>> = forEachKind((row) => row);
