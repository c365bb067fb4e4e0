/**
 * The top level of every command: prints the error with which an action has failed, and sets the
 * exit status. It is a module of its own (`@cm4all/command/run`), because libraries do not need
 * the command-line parser.
 */
import { type Command, CommanderError } from "commander";
import { commandLine, requireText } from "./arguments.ts";
import { explainFailure } from "./failure.ts";
import { loseMessages, tellLostOutput, watchOutput } from "./output.ts";
import { printableLines } from "./printable.ts";
import { didYouMean } from "./suggest.ts";
import { EX_OK, EX_USAGE } from "./sysexits.ts";

export { tellLostOutput, watchOutput };

const othersWrite = new WeakSet<Command>();

/**
 * Marks a command that leaves its standard output to another program, such as one that it runs.
 * Such an output is not watched, because Node would set O_NONBLOCK, which all writers of a pipe
 * share. Returns the command.
 */
export function leaveOutput(command: Command): Command {
  othersWrite.add(command);
  return command;
}

/**
 * Parses the command line and runs the command. The exit status is EX_USAGE after a mistake in the
 * command line, and that of the failure if the action fails; nothing is thrown.
 * An argument that may be any bytes needs a parser that makes a Buffer of it (arguments.ts).
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
    console.error(`${program.name()}: ${printableLines(message)}`);
    process.exitCode = exitStatus;
  }
}

/**
 * Makes a command throw instead of exiting, report mistakes in the command line like other errors
 * (with the name of the program), and call `watch` before it prints its help or version. Does the
 * same for each subcommand, because existing subcommands do not inherit later settings.
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
      outputError: (text, write) => write(`${program}: ${printableLines(plainMistake(text))}`),
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
 * Adds the subcommand `help`, even if the command has an action of its own, as the daemon's command
 * has. For an unknown command, Commander's own `help` prints the whole help, and does not report
 * that the command is unknown.
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

/** Returns a message of Commander without `error: `, and with the suggestion on the same line. */
function plainMistake(text: string): string {
  return text.replace(/^error: /, "").replace(/\n\(Did you mean (.*)\)$/m, " (did you mean $1)");
}
