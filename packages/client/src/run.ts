/** The command `cm4all-spawn-client run`: runs a command inside the namespaces of a name. */
import { constants } from "node:os";
import { CommandFailure, EX_NOPERM, EX_OSERR, EX_UNAVAILABLE } from "@cm4all/command";
import {
  bytesOf,
  bytesOfText,
  type ExitReason,
  ignoreSignals,
  isErrno,
  type NamespaceType,
  ownNamespaceInode,
  spawnOrShell,
  takeIgnoredSignals,
  withNamespace,
} from "@cm4all/linux";
import { NAMESPACE_KINDS } from "@cm4all/spawn-protocol";
import type { SpawnClient } from "./client.ts";
import { findExecutable } from "./executable.ts";
import type { Handle } from "./handle.ts";
import { planSteps } from "./plan.ts";
import { startPassingSignals } from "./signals.ts";
import type { Grant, UserMap, Wanted } from "./types.ts";

/** The command's descriptor of its user namespace: the first one after the standard descriptors. */
const USER_FD = 3;

/** Exit statuses, as shells and env(1) use them. */
const NOT_EXECUTABLE = 126;
const NOT_FOUND = 127;
const KILLED = 128;

/** The namespaces that a command is to run in; `run` asks for the lease itself. */
export type WantedNamespaces = Omit<Wanted, "user" | "lease"> & {
  readonly user: UserMap | false;
};

/**
 * Runs a command inside the namespaces of `name`, and holds a lease until the command has ended.
 * The command ignores the signals that were ignored when this program was started, and has this
 * program's environment.
 * @param command the command and its arguments, which may be any bytes
 * @returns the command's exit status, or 128 plus the number of the signal that has ended it
 * @throws CommandFailure, SpawnError
 */
export async function run(
  client: SpawnClient,
  name: string,
  wanted: WantedNamespaces,
  command: readonly Buffer[],
): Promise<number> {
  const ignoredSignals = takeIgnoredSignals();
  // This process does not ignore SIGCHLD, because Node needs it to wait for the child.
  ignoreSignals(ignoredSignals.filter((signal) => signal !== constants.signals.SIGCHLD));
  findCommand(command[0] ?? Buffer.alloc(0));
  using grant: Grant<Wanted> = await client.request(name, { ...wanted, lease: true });
  // The lease keeps the namespaces, so the connection is not needed any longer.
  client.close();

  const entersPid = grant.pid !== undefined && grant.pid.inode !== ownNamespaceInode("pid");
  const steps = planSteps({
    privateProc: entersPid,
    user: grant.user && { ...wanted.user, fd: USER_FD },
    ignoredSignals,
  });
  for (const tool of steps) if (tool === "unshare" || tool === "nsenter") requireTool(tool);
  const argv = [...steps.map((word) => Buffer.from(word)), ...command];

  // This thread enters all namespaces except the user namespace, which only a single-threaded
  // process can enter.
  let start = () => startCommand(argv, grant.user?.fd);
  for (const { kind } of NAMESPACE_KINDS) {
    const namespace = grant[kind];
    if (namespace === undefined || kind === "user") continue;
    if (kind === "pid" && !entersPid) continue;
    start = inside(namespace, kind, start);
  }
  return exitStatus(await startPassingSignals(start, ignoredSignals).exit);
}

/** Finds the file of a command. @returns its path @throws CommandFailure */
function findCommand(command: Buffer): Buffer {
  const finding = findExecutable(bytesOf(command));
  if (finding === "not found") throw new CommandFailure(`${command}: command not found`, NOT_FOUND);
  if (finding === "not executable")
    throw new CommandFailure(`${command}: not executable`, NOT_EXECUTABLE);
  return finding;
}

function requireTool(tool: string): void {
  if (!Buffer.isBuffer(findExecutable(bytesOfText(tool))))
    throw new CommandFailure(`${tool} is not on the PATH: install util-linux`, EX_UNAVAILABLE);
}

/** Returns a function that runs `work` with this thread inside a namespace. */
function inside<T>(namespace: Handle, type: NamespaceType, work: () => T): () => T {
  return () => {
    try {
      return withNamespace(namespace.fd, type, work);
    } catch (error) {
      if (!isErrno(error, "EPERM")) throw error;
      const what = `cannot enter the ${type} namespace`;
      throw new CommandFailure(`${what}: EPERM: this requires CAP_SYS_ADMIN`, EX_NOPERM, {
        cause: error,
      });
    }
  };
}

/**
 * Starts a command in the namespaces of this thread.
 * @param userFd the descriptor that the command gets as USER_FD
 */
function startCommand(argv: readonly Buffer[], userFd: number | undefined): number {
  const path = findCommand(argv[0] ?? Buffer.alloc(0));
  const stdio = userFd === undefined ? [0, 1, 2] : [0, 1, 2, userFd];
  try {
    return spawnOrShell({ path, argv, stdio });
  } catch (error) {
    // clone(2) fails with ENOMEM in a PID namespace whose init has ended.
    const reason = isErrno(error, "ENOMEM") ? "the PID namespace has ended" : String(error);
    throw new CommandFailure(`cannot start the command: ${reason}`, EX_OSERR, { cause: error });
  }
}

function exitStatus(reason: ExitReason): number {
  return reason.kind === "exited" ? reason.status : KILLED + reason.signal;
}
