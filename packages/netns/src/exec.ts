/** The command `exec`: becomes a command inside a namespace. */
import { CommandFailure, EX_UNAVAILABLE, EX_USAGE } from "@cm4all/command";
import { execute, isErrno } from "@cm4all/linux";
import { requireRoot } from "./failures.ts";
import { NetworkNamespace } from "./namespace.ts";
import { namespacePath } from "./paths.ts";
import { checkName } from "./up.ts";
import { withView } from "./view.ts";

/** As shells and env(1) say that a command is not there, or cannot be run. */
const EXIT_NOT_FOUND = 127;
const EXIT_NOT_EXECUTABLE = 126;

/**
 * Runs a command in the place of this program, so that its exit status, its signals and
 * its terminal are its own.
 * @param words the command and its arguments, perhaps after `--`
 * @throws CommandFailure where it cannot be run
 */
export function exec(name: string, words: readonly string[]): void {
  // Options of the command are its own, so `--` may be left out before it.
  const command = words[0] === "--" ? words.slice(1) : words;
  const [file] = command;
  if (file === undefined) throw new CommandFailure("which command?", EX_USAGE);
  checkName(name);
  requireRoot();
  const namespace = NetworkNamespace.tryOpen(name);
  if (namespace === undefined)
    throw new CommandFailure(
      `there is no network namespace ${name} (${namespacePath(name)})`,
      EX_UNAVAILABLE,
    );
  // The working directory is the caller's, as with `ip netns exec`.
  try {
    withView(namespace, name, () => execute(file, command));
  } catch (error) {
    if (!(error instanceof Error) || !("syscall" in error) || error.syscall !== "execvp")
      throw error;
    const status = isErrno(error, "ENOENT") ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE;
    const problem = isErrno(error, "ENOENT") ? "no such command" : error.message;
    throw new CommandFailure(`${file}: ${problem}`, status, { cause: error });
  }
}
