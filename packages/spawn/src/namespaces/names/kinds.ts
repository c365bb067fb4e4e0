/**
 * Defines how the daemon makes and keeps each kind of namespace. What the protocol defines for each
 * kind is in packages/protocol/src/kinds.ts; a kind that is added there needs an entry here.
 */
import { createNamespace, createUserNamespace, type Fd, openFile } from "@cm4all/linux";
import { decodeUserMaps, type NamespaceKind } from "@cm4all/spawn-protocol";
import { endChild } from "./init.ts";

/** The input from which a namespace is made. */
export interface Order {
  /** The payload of the request; empty for a kind without payloads. */
  readonly payload: Uint8Array;
  /** Starts an init in a new PID namespace. @returns its pid */
  readonly startInit: () => number;
}

/** A namespace that was just made, which the caller owns. */
export interface Created {
  readonly fd: Fd;
  /** The init of a PID namespace: a child that the caller ends and reaps. */
  readonly initPid?: number;
}

interface KeptKind {
  /**
   * The namespace's file, in the directory of the name that it belongs to. If the kind takes
   * payloads, each namespace has a file with a number, `FILE-N`.
   */
  readonly file: string;
  /** Makes a namespace. @throws SyscallError; nothing is left behind then */
  readonly create: (order: Order) => Created;
}

export const KEPT_KINDS: Readonly<Record<NamespaceKind, KeptKind>> = {
  ipc: { file: "ipc", create: () => ({ fd: createNamespace("ipc") }) },
  pid: { file: "pid", create: ({ startInit }) => createPidNamespace(startInit) },
  user: {
    file: "user",
    create: ({ payload }) => ({ fd: createUserNamespace(decodeUserMaps(payload)) }),
  },
};

function createPidNamespace(startInit: () => number): Created {
  const initPid = startInit();
  try {
    return { fd: openFile(`/proc/${initPid}/ns/pid`, 0), initPid };
  } catch (error) {
    endChild(initPid);
    throw error;
  }
}
