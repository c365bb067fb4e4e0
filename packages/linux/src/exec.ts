/** Another program in the place of this one. @see exec(3) */
import { check } from "./errors.ts";
import { intFunction } from "./libc.ts";
import { beginCall, cString, cStringArray } from "./memory.ts";

const SIG_DFL = 0;
const SIGRTMAX = 64;

const libc = { execvp: intFunction("execvp", 2), signal: intFunction("signal", 2) };

/**
 * Becomes the program `file`, looked for in PATH unless it has a slash. It has the
 * namespaces of the calling thread, default signal dispositions (Node ignores some,
 * which would be inherited) and the descriptors that are not close-on-exec.
 * Returns only by throwing.
 * @throws SyscallError such as ENOENT; nothing but the signal dispositions has changed then
 */
export function execute(file: string, argv: readonly string[]): never {
  // It fails for the signals that cannot be caught and those that glibc keeps.
  for (let signal = 1; signal <= SIGRTMAX; signal++) libc.signal(signal, SIG_DFL);
  beginCall();
  check(libc.execvp(cString(file), cStringArray(argv)), "execvp", { file });
  throw new Error("execvp returned");
}
