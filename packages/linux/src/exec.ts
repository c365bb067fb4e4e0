/** Replaces this program with another one. @see exec(3) */
import { check } from "./errors.ts";
import { closeInherited } from "./fcntl.ts";
import { ignoreSignals } from "./ignored-signals.ts";
import { intFunction } from "./libc.ts";
import { beginCall, cString, cStringArray } from "./memory.ts";

const SIG_DFL = 0;
const SIGRTMAX = 64;

const F_SETFD = 2;

const libc = {
  execvp: intFunction("execvp", 2),
  fcntl: intFunction("fcntl", 3),
  signal: intFunction("signal", 2),
};

/**
 * Executes the program `file`, which is searched for in PATH unless it contains a slash. The
 * program gets the namespaces of the calling thread, the standard descriptors and no others, and
 * default signal dispositions (Node ignores some signals, and the program would inherit that).
 * Returns only by throwing.
 * @param ignoredSignals the numbers of signals that the program is to ignore
 * @throws SyscallError such as ENOENT; this program can then do nothing but report it
 */
export function execute(
  file: string | Buffer,
  argv: readonly (string | Buffer)[],
  ignoredSignals: readonly number[] = [],
): never {
  // The call fails for signals that cannot be caught and for those that glibc uses itself.
  for (let signal = 1; signal <= SIGRTMAX; signal++) libc.signal(signal, SIG_DFL);
  ignoreSignals(ignoredSignals);
  for (const fd of [0, 1, 2]) libc.fcntl(fd, F_SETFD, 0);
  // Node's own descriptors are close-on-exec. At its start, Node also sets this flag on inherited
  // descriptors, but above 15 only up to the first unused number.
  closeInherited(3);
  beginCall();
  check(libc.execvp(cString(file), cStringArray(argv)), "execvp", { file: String(file) });
  throw new Error("execvp returned");
}
