/** Plans the chain of programs that starts a command inside the namespaces of a grant. Pure. */
import type { UserMap } from "./types.ts";

export interface Surroundings {
  /** True if the command gets its own `/proc`, which shows the PID namespace of the command. */
  readonly privateProc: boolean;
  /** The user namespace to enter: a descriptor that the command inherits. */
  readonly user?: (UserMap & { readonly fd: number }) | undefined;
  /** The numbers of signals that the command is to ignore. */
  readonly ignoredSignals?: readonly number[];
}

/**
 * Returns the words to put before the command: a chain of programs. Each program takes one step and
 * then executes the next, so that all of them run in the same process.
 *
 * The order matters: the IPC and PID namespaces belong to the initial user namespace. Entering
 * them and mounting `/proc` takes privileges in that user namespace, which are lost once another
 * user namespace is entered. Only a single-threaded process may enter a user namespace, and Node
 * has several threads, so nsenter(1) enters it after `/proc` has been mounted.
 */
export function planSteps({ privateProc, user, ignoredSignals = [] }: Surroundings): string[] {
  const words: string[] = [];
  // unshare(1) mounts /proc in a new mount namespace with private propagation, so that nothing
  // changes outside.
  if (privateProc) words.push("unshare", "--mount-proc", "--");
  if (user !== undefined) {
    words.push("nsenter", `--user=/proc/self/fd/${user.fd}`, "--preserve-credentials");
    if (mapsRoot(user.uidMap)) words.push("--setuid", "0");
    if (mapsRoot(user.gidMap)) words.push("--setgid", "0");
    words.push("--");
  }
  // The client's call to posix_spawn(3) gives the child the default action for every signal, so a
  // shell has to ignore the signals.
  if (ignoredSignals.length > 0)
    words.push("/bin/bash", "-pc", `trap "" ${ignoredSignals.join(" ")}; exec "$@"`, "bash");
  return words;
}

/** The greatest id; the next number means "no id". */
const MAX_ID = 0xfffffffe;

/** Returns the mistake in a line of uid_map or gid_map; undefined if there is none. Pure. */
export function mapProblem(line: string): string | undefined {
  const words = line.trim().split(/\s+/);
  const [inside = 0, outside = 0, count = 0] = words.map(Number);
  if (words.length !== 3 || !words.every((word) => /^\d+$/.test(word)))
    return "expected three numbers: INSIDE OUTSIDE COUNT";
  if (count === 0) return "COUNT is 0: no id is mapped";
  for (const first of [inside, outside])
    if (first + count - 1 > MAX_ID)
      return `the largest id is ${MAX_ID}, which a COUNT of ${count} from ${first} exceeds`;
  return undefined;
}

/** Returns true if the id 0 exists inside a user namespace with this map. */
export function mapsRoot(map: string | undefined): boolean {
  return map !== undefined && /^\s*0+\s+\d+\s+0*[1-9]\d*\s*$/m.test(map);
}
