/** `cm4all-spawn-client run`: a command inside the namespaces of a name. */
import { type ChildProcess, spawn } from "node:child_process";
import { constants } from "node:os";
import { CommandFailure, EX_NOPERM, EX_OSERR, EX_UNAVAILABLE } from "@cm4all/command";
import {
  ignoreSignals,
  isErrno,
  type NamespaceType,
  ownNamespaceInode,
  takeIgnoredSignals,
  withNamespace,
} from "@cm4all/linux";
import { NAMESPACE_KINDS } from "@cm4all/spawn-protocol";
import type { SpawnClient } from "./client.ts";
import { findExecutable } from "./executable.ts";
import type { Handle } from "./handle.ts";
import { planCommand } from "./plan.ts";
import { startPassingSignals } from "./signals.ts";
import type { Grant, UserMap, Wanted } from "./types.ts";

/** What shells and env(1) use. */
const NOT_EXECUTABLE = 126;
const NOT_FOUND = 127;
const KILLED = 128;

/** The namespaces that a command is to run in, a lease apart. */
export type WantedNamespaces = Omit<Wanted, "user" | "lease"> & {
  readonly user: UserMap | false;
};

/**
 * Runs a command inside the namespaces of `name`, holding a lease meanwhile. It ignores the
 * signals that this program was started to ignore.
 * @returns its exit status; of a command that a signal ended, 128 and its number
 * @throws CommandFailure, SpawnError
 */
export async function run(
  client: SpawnClient,
  name: string,
  wanted: WantedNamespaces,
  command: readonly string[],
): Promise<number> {
  const ignoredSignals = takeIgnoredSignals();
  // Node waits for the child with SIGCHLD.
  ignoreSignals(ignoredSignals.filter((signal) => signal !== constants.signals.SIGCHLD));
  requireCommand(command[0] ?? "");
  using grant: Grant<Wanted> = await client.request(name, { ...wanted, lease: true });
  // The lease counts, not the connection.
  client.close();

  const entersPid = grant.pid !== undefined && grant.pid.inode !== ownNamespaceInode("pid");
  const words = planCommand({
    command,
    privateProc: entersPid,
    user: grant.user && { ...wanted.user, fd: grant.user.fd },
    ignoredSignals,
  });
  for (const tool of words.slice(0, -command.length))
    if (tool === "unshare" || tool === "nsenter") requireTool(tool);

  // All but the user namespace, which only a process with a single thread can enter.
  let start = () => startCommand(words, grant.user?.fd);
  for (const { kind } of NAMESPACE_KINDS) {
    const namespace = grant[kind];
    if (namespace === undefined || kind === "user") continue;
    if (kind === "pid" && !entersPid) continue;
    start = inside(namespace, kind, start);
  }
  return await exitStatus(startPassingSignals(start, ignoredSignals));
}

function requireCommand(command: string): void {
  const result = findExecutable(command);
  if (result === "not found") throw new CommandFailure(`${command}: command not found`, NOT_FOUND);
  if (result === "not executable")
    throw new CommandFailure(`${command}: not executable`, NOT_EXECUTABLE);
}

function requireTool(tool: string): void {
  if (findExecutable(tool) !== "found")
    throw new CommandFailure(`${tool} is not on the PATH: install util-linux`, EX_UNAVAILABLE);
}

/** `work`, made to run with this thread inside a namespace. */
function inside<T>(namespace: Handle, type: NamespaceType, work: () => T): () => T {
  return () => {
    try {
      return withNamespace(namespace.fd, type, work);
    } catch (error) {
      if (!isErrno(error, "EPERM")) throw error;
      const what = `cannot enter the ${type} namespace`;
      throw new CommandFailure(`${what}: EPERM: this takes CAP_SYS_ADMIN`, EX_NOPERM, {
        cause: error,
      });
    }
  };
}

/** Starts the words in the namespaces that this thread is in. @param keepFd inherited as it is */
function startCommand(words: readonly string[], keepFd: number | undefined): ChildProcess {
  const stdio: ("inherit" | "ignore" | number)[] = ["inherit", "inherit", "inherit"];
  if (keepFd !== undefined) {
    // "ignore" leaves descriptors from 3 on as they are.
    while (stdio.length < keepFd) stdio.push("ignore");
    stdio.push(keepFd);
  }
  const [file = "", ...args] = words;
  try {
    return spawn(file, args, { stdio });
  } catch (error) {
    throw startFailure(error);
  }
}

function exitStatus(child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    child.on("error", (error) => {
      // A signal that we may not pass on is an error as well, and no reason to stop.
      if (child.pid === undefined) reject(startFailure(error));
    });
    child.on("exit", (status, signal) =>
      resolve(signal === null ? (status ?? 0) : KILLED + constants.signals[signal]),
    );
  });
}

function startFailure(error: unknown): CommandFailure {
  // fork(2) gives ENOMEM in a PID namespace whose init is gone.
  const reason = isErrno(error, "ENOMEM") ? "the PID namespace has ended" : String(error);
  return new CommandFailure(`cannot start the command: ${reason}`, EX_OSERR, { cause: error });
}
