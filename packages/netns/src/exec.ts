/** The command `exec`: runs a command inside a namespace. */
import { CommandFailure, EX_UNAVAILABLE, EX_USAGE } from "@cm4all/command";
import { execute, isErrno, takeIgnoredSignals } from "@cm4all/linux";
import { checkName } from "./claim.ts";
import { requireRoot } from "./failures.ts";
import { interpreterProblem } from "./interpreter.ts";
import { NetworkNamespace } from "./namespace.ts";
import { namespacePath } from "./paths.ts";
import { becomeUser, findSudoUser, findUser } from "./user.ts";
import { withView } from "./view.ts";

/** The exit statuses of shells and env(1) for a command that does not exist, or cannot be run. */
const EXIT_NOT_FOUND = 127;
const EXIT_NOT_EXECUTABLE = 126;

export interface ExecOptions {
  /** The name or uid of the user to run the command as; undefined for root, or with `sudoUser`. */
  readonly user?: string;
  /** True to run the command as the user who called sudo. */
  readonly sudoUser?: boolean;
}

/**
 * Replaces this process with a command, so that the exit status, the signals and the terminal are
 * those of the command.
 * @param words the command and its arguments, possibly preceded by `--`; each may contain
 *   arbitrary bytes
 * @throws CommandFailure if the command cannot be run
 */
export function exec(name: string, words: readonly Buffer[], options: ExecOptions): void {
  // Options after the command belong to the command, so the `--` before it is optional.
  const command = words[0]?.equals(Buffer.from("--")) ? words.slice(1) : words;
  const [file] = command;
  if (file === undefined) throw new CommandFailure("which command?", EX_USAGE);
  checkName(name);
  requireRoot();
  const user =
    options.sudoUser === true
      ? findSudoUser()
      : options.user === undefined
        ? undefined
        : findUser(options.user);
  const namespace = NetworkNamespace.tryOpen(name);
  if (namespace === undefined)
    throw new CommandFailure(
      `there is no network namespace ${name} (${namespacePath(name)})`,
      EX_UNAVAILABLE,
    );
  const ignored = takeIgnoredSignals();
  // The working directory stays that of the caller, as with `ip netns exec`.
  const directory = process.cwd();
  try {
    withView(namespace, name, () => {
      process.chdir(directory);
      if (user !== undefined) becomeUser(user);
      execute(file, command, ignored);
    });
  } catch (error) {
    throw explainExecution(file, error);
  }
}

/**
 * Turns an error of execvp(3) into a failure with its exit status: 127 if there is no such command,
 * 126 if it cannot be run. Returns any other error as it is.
 */
function explainExecution(file: Buffer, error: unknown): unknown {
  if (!(error instanceof Error) || !("syscall" in error) || error.syscall !== "execvp")
    return error;
  const missing = isErrno(error, "ENOENT");
  const interpreter = missing && file.includes("/") ? interpreterProblem(file) : undefined;
  if (interpreter !== undefined)
    return new CommandFailure(`${file}: ${interpreter}`, EXIT_NOT_EXECUTABLE, { cause: error });
  return missing
    ? new CommandFailure(`${file}: no such command`, EXIT_NOT_FOUND, { cause: error })
    : new CommandFailure(`${file}: ${error.message}`, EXIT_NOT_EXECUTABLE, { cause: error });
}
