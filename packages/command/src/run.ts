/**
 * The top level of every command: one place that prints an error and sets the
 * exit status. A module of its own (`@cm4all/command/run`), because the libraries
 * need no command-line parser.
 */
import { type Command, CommanderError } from "commander";
import { commandLine, requireText } from "./arguments.ts";
import { explainFailure } from "./failure.ts";
import { EX_OK, EX_USAGE } from "./sysexits.ts";

/**
 * Parses the command line and runs what it asks for. A mistake in it ends with
 * EX_USAGE, a failure of the action with that failure's status; nothing is thrown.
 * Arguments that may be any bytes have a parser that makes a Buffer of them (arguments.ts).
 */
export async function runCommand(
  program: Command,
  argv: readonly string[] = commandLine(),
): Promise<void> {
  tellMistakes(program, [program.name()]);
  // Also where the program alone does something, as the daemon does.
  program.helpCommand(program.commands.length > 0);
  program.hook("preAction", (_, command) => requireText(command));
  try {
    await program.parseAsync(argv);
  } catch (error) {
    if (error instanceof CommanderError) {
      // Commander has printed the message, or the help that was asked for.
      process.exitCode = error.exitCode === 0 ? EX_OK : EX_USAGE;
      return;
    }
    const { message, exitStatus } = explainFailure(error);
    console.error(`${program.name()}: ${message}`);
    process.exitCode = exitStatus;
  }
}

/**
 * Has a mistake end with an exception, and told as all else is: with the program's name.
 * Subcommands that exist already do not inherit what their parent is told now.
 * @param path the words that lead to `command`
 */
function tellMistakes(command: Command, path: readonly string[]): void {
  const [program] = path;
  command
    .exitOverride()
    .showHelpAfterError(`Try "${path.join(" ")} --help".`)
    .configureOutput({
      outputError: (text, write) => write(`${program}: ${plainMistake(text)}`),
    });
  for (const child of command.commands) tellMistakes(child, [...path, child.name()]);
}

/** A message of Commander, with the suggestion in its line. */
function plainMistake(text: string): string {
  return text.replace(/^error: /, "").replace(/\n\(Did you mean (.*)\)$/m, " (did you mean $1)");
}
