/**
 * The top level of every command: one place that prints an error and sets the
 * exit status. A module of its own (`@cm4all/command/run`), because the libraries
 * need no command-line parser.
 */
import { type Command, CommanderError } from "commander";
import { commandLine, requireText } from "./arguments.ts";
import { explainFailure } from "./failure.ts";
import { loseMessages, tellLostOutput, watchOutput } from "./output.ts";
import { didYouMean } from "./suggest.ts";
import { EX_OK, EX_USAGE } from "./sysexits.ts";

export { tellLostOutput, watchOutput };

const othersWrite = new WeakSet<Command>();

/**
 * Says that a command leaves its standard output to others, such as the program that it runs:
 * Node would set O_NONBLOCK, which a pipe's writers have in common.
 */
export function leaveOutput(command: Command): Command {
  othersWrite.add(command);
  return command;
}

/**
 * Parses the command line and runs what it asks for. A mistake in it ends with
 * EX_USAGE, a failure of the action with that failure's status; nothing is thrown.
 * Arguments that may be any bytes have a parser that makes a Buffer of them (arguments.ts).
 */
export async function runCommand(
  program: Command,
  argv: readonly string[] = commandLine(),
): Promise<void> {
  let isWatching = false;
  const watch = () => {
    if (!isWatching) watchOutput(program.name());
    isWatching = true;
  };
  override(program, [program.name()], watch);
  program.hook("preAction", (_, command) => {
    requireText(command);
    if (!othersWrite.has(command)) watch();
  });
  try {
    await program.parseAsync(argv);
  } catch (error) {
    if (error instanceof CommanderError) {
      // Commander has printed the message, or the help that was asked for.
      if (error.exitCode === 0) process.exitCode ??= EX_OK;
      else process.exitCode = EX_USAGE;
      return;
    }
    const { message, exitStatus } = explainFailure(error);
    console.error(`${program.name()}: ${message}`);
    process.exitCode = exitStatus;
  }
}

/**
 * Has a command throw where it would exit, tell mistakes as all else is told, with the program's
 * name, and call `watch` before it prints help or version. Subcommands that exist already do not
 * inherit what their parent is told now.
 * @param path the words that lead to `command`
 */
function override(command: Command, path: readonly string[], watch: () => void): void {
  const [program] = path;
  if (command.commands.length > 0) declareHelp(command);
  const { writeErr, writeOut } = command.configureOutput();
  command
    .exitOverride()
    .showHelpAfterError(`Try "${path.join(" ")} --help".`)
    .configureOutput({
      outputError: (text, write) => write(`${program}: ${plainMistake(text)}`),
      writeErr: (text) => {
        loseMessages();
        writeErr?.(text);
      },
      writeOut: (text) => {
        watch();
        writeOut?.(text);
      },
    });
  for (const child of command.commands) override(child, [...path, child.name()], watch);
}

/**
 * Adds the subcommand `help`, also where the command alone does something, as the daemon does.
 * Commander's own prints all the help for a word that is no command, and does not say so.
 */
function declareHelp(parent: Command): void {
  const others = [...parent.commands];
  parent
    .helpCommand(false)
    .command("help [command]")
    .description("display help for command")
    .helpOption(false)
    .action((word: string | undefined) => {
      if (word === undefined) return parent.help();
      const meant = others.find((each) => each.name() === word);
      if (meant !== undefined) return meant.help();
      const suggestion = didYouMean(
        word,
        others.map((each) => each.name()),
      );
      parent.error(`unknown command '${word}'${suggestion}`);
    });
}

/** A message of Commander, with the suggestion in its line. */
function plainMistake(text: string): string {
  return text.replace(/^error: /, "").replace(/\n\(Did you mean (.*)\)$/m, " (did you mean $1)");
}
