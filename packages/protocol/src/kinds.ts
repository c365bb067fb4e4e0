/**
 * The kinds of namespaces: the only place where the protocol tells them apart. Requests,
 * answers, the client, statistics, status and metrics derive from this table. The numbers
 * are in commands.ts; of a new kind the compiler asks for an entry in the daemon's table
 * (spawn, namespaces/names/kinds.ts) and in the client's types (client, types.ts).
 */
import { CLONE_NEWIPC, CLONE_NEWPID, CLONE_NEWUSER, RequestCommand } from "./commands.ts";

interface KindFacts {
  /** Its name in programs: the file below `/proc/PID/ns`, the key in status and metrics. */
  readonly kind: string;
  /** Its name for people. */
  readonly title: string;
  /** The packet that asks for it. */
  readonly command: number;
  /** Stands for it in NAMESPACE_HANDLES. */
  readonly flag: number;
  /** Whether the packet may have a payload: each payload has a namespace of its own. */
  readonly takesPayload: boolean;
}

/** In the order of an answer's descriptors. */
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
 * The descriptors that one answer carries at most: all kinds and a lease. Existing clients
 * have room for the four that they can ask for.
 */
export const MAX_RESPONSE_DESCRIPTORS = NAMESPACE_KINDS.length + 1;

/** One row of the table. */
export type KindRow = (typeof NAMESPACE_KINDS)[number];

export type NamespaceKind = KindRow["kind"];

/** Which kinds are there, or asked for: as a payload of theirs, or as true. */
export type Choice = {
  readonly [Kind in NamespaceKind]?: Uint8Array | boolean | undefined;
};

/** A value for each kind. */
export function forEachKind<T>(value: (row: KindRow) => T): Record<NamespaceKind, T> {
  const entries = NAMESPACE_KINDS.map((row) => [row.kind, value(row)]);
  return Object.fromEntries(entries) as Record<NamespaceKind, T>;
}

/** The rows by kind. */
export const KINDS: Readonly<Record<NamespaceKind, KindRow>> = forEachKind((row) => row);
