import {
  CommandFailure,
  EX_NOPERM,
  EX_OSERR,
  EX_PROTOCOL,
  EX_TEMPFAIL,
  EX_UNAVAILABLE,
  EX_USAGE,
} from "@cm4all/command";
import { bytesOfArgument, collectBytes } from "@cm4all/command/arguments";
import { leaveOutput, runCommand } from "@cm4all/command/run";
import { SyscallError } from "@cm4all/linux";
import {
  findNameProblem,
  forEachKind,
  NAMESPACE_KINDS,
  type NamespaceKind,
  SOCKET_NAME,
} from "@cm4all/spawn-protocol";
import { Command, InvalidArgumentError, Option } from "commander";
import { SpawnClient } from "./client.ts";
import { SpawnError, type SpawnErrorKind } from "./errors.ts";
import { HANDLE_TYPES } from "./grant.ts";
import { mapProblem } from "./plan.ts";
import { formatJson, formatText, type Inodes } from "./report.ts";
import { run, type WantedNamespaces } from "./run.ts";
import type { Grant, Wanted } from "./types.ts";

interface GlobalOptions {
  readonly socket: string;
  /** Milliseconds. */
  readonly timeout: number;
}

type KindOptions = { readonly [Kind in NamespaceKind]?: true };

interface NamespaceOptions extends GlobalOptions, KindOptions {
  /** The lines of uid_map; `gidMap` has those of gid_map. */
  readonly uidMap?: readonly string[];
  readonly gidMap?: readonly string[];
}

interface RequestOptions extends NamespaceOptions {
  readonly lease?: true;
  readonly json?: true;
}

const EXIT_STATUS: Readonly<Record<SpawnErrorKind, number>> = {
  unavailable: EX_UNAVAILABLE,
  refused: EX_NOPERM,
  closed: EX_TEMPFAIL,
  timeout: EX_TEMPFAIL,
  protocol: EX_PROTOCOL,
};

/** The options that ask for namespaces, as messages name them. */
const KIND_OPTIONS = NAMESPACE_KINDS.map(({ kind }) => `--${kind}`);

const program = new Command("cm4all-spawn-client")
  .description("Asks the CM4all spawn daemon for namespaces, and runs commands inside them.")
  .version(__VERSION__)
  .option("--socket <address>", "where the daemon listens: @NAME, or a path", `@${SOCKET_NAME}`)
  .addOption(
    new Option("--timeout <seconds>", "how long to wait for the daemon")
      .argParser(parseSeconds)
      .default(10_000, "10"),
  )
  .configureHelp({ showGlobalOptions: true });

namespaceOptions(program.command("request"))
  .summary("ask for namespaces and print their inodes")
  .description(
    "Asks for namespaces of NAME, and prints the type and inode of each. The first " +
      "request for a name creates its namespaces; later requests get the same ones.",
  )
  .argument("<name>", "the name of the namespaces", parseName)
  .option("--lease", "also ask for a lease; it ends with this command")
  .option("--json", "as one line of JSON")
  .addHelpText("after", "\nExample:\n  cm4all-spawn-client request foo --ipc --pid --json")
  .action(request);

namespaceOptions(leaveOutput(program.command("run")))
  .summary("run a command inside namespaces")
  .usage("[options] <name> -- <command> [args...]")
  .description(
    "Runs COMMAND inside namespaces of NAME, and holds a lease of NAME until COMMAND ends. " +
      "If the PID namespace is not the caller's, COMMAND gets a private /proc. Signals are " +
      "passed on to COMMAND.",
  )
  .argument("<name>", "the name of the namespaces", parseName)
  .argument("<command>", "the command to run", bytesOfArgument)
  .argument("[args...]", "its arguments", collectBytes)
  .addHelpText(
    "after",
    "\nExit status: that of COMMAND; 128+N if signal N ended it; 127 if it is not found,\n" +
      "126 if it cannot be executed. See also cm4all-spawn-client(1).\n" +
      "\nExample:\n  cm4all-spawn-client run foo --ipc --pid -- sh -c 'ps ax; ipcs'",
  )
  .action(runInside);

runCommand(program);

function namespaceOptions(command: Command): Command {
  for (const { kind, title, takesPayload } of NAMESPACE_KINDS)
    command.option(
      `--${kind}`,
      takesPayload ? `a ${title} namespace, one for each set of maps` : `the ${title} namespace`,
    );
  return command
    .option("--uid-map <map>", "a line 'INSIDE OUTSIDE COUNT' of uid_map; repeatable", collect)
    .option("--gid-map <map>", "the same for gid_map", collect);
}

function collect(line: string, lines: readonly string[] = []): string[] {
  return [...lines, line];
}

function parseName(name: string): string {
  const problem = findNameProblem(name);
  if (problem !== undefined) throw new InvalidArgumentError(`It ${problem}.`);
  return name;
}

/** Converts seconds to milliseconds. */
function parseSeconds(text: string): number {
  const seconds = Number(text);
  if (text.trim() === "" || !(seconds > 0 && seconds <= 86_400))
    throw new InvalidArgumentError("Expected a number of seconds above 0, at most 86400.");
  return seconds * 1000;
}

function parseWanted(options: NamespaceOptions): WantedNamespaces {
  const { user, uidMap, gidMap } = options;
  if (user === undefined && (uidMap ?? gidMap) !== undefined)
    throw new CommandFailure("--uid-map and --gid-map need --user", EX_USAGE);
  checkMap("--uid-map", uidMap);
  checkMap("--gid-map", gidMap);
  return {
    ...forEachKind(({ kind }) => options[kind] ?? false),
    user: user !== undefined && { uidMap: uidMap?.join("\n"), gidMap: gidMap?.join("\n") },
  };
}

/**
 * Checks the lines of a map.
 * @throws CommandFailure for values that the kernel would refuse, or take modulo 2^32
 */
function checkMap(option: string, lines: readonly string[] = []): void {
  for (const line of lines.flatMap((each) => each.split("\n"))) {
    const problem = line.trim() === "" ? undefined : mapProblem(line);
    if (problem !== undefined)
      throw new CommandFailure(`${option} ${JSON.stringify(line)}: ${problem}`, EX_USAGE);
  }
}

function requireChoice(wanted: Wanted, choices: readonly string[]): void {
  if (Object.values(wanted).some((value) => value !== false)) return;
  const others = choices.slice(0, -1).join(", ");
  throw new CommandFailure(`ask for ${others} or ${choices.at(-1)}`, EX_USAGE);
}

async function request(name: string, _: unknown, command: Command): Promise<void> {
  const options = command.optsWithGlobals<RequestOptions>();
  const wanted = { ...parseWanted(options), lease: options.lease ?? false };
  requireChoice(wanted, [...KIND_OPTIONS, "--lease"]);
  const inodes: Inodes = await withClient(options, async (client) => {
    using grant: Grant<Wanted> = await client.request(name, wanted);
    return Object.fromEntries(
      HANDLE_TYPES.flatMap((type) => {
        const handle = grant[type];
        return handle === undefined ? [] : [[type, handle.inode]];
      }),
    );
  });
  process.stdout.write(options.json ? formatJson(name, inodes) : formatText(inodes));
}

async function runInside(
  name: string,
  file: Buffer,
  args: readonly Buffer[] | undefined,
  _: unknown,
  command: Command,
): Promise<void> {
  const options = command.optsWithGlobals<NamespaceOptions>();
  const wanted = parseWanted(options);
  requireChoice(wanted, KIND_OPTIONS);
  process.exitCode = await withClient(options, (client) =>
    run(client, name, wanted, [file, ...(args ?? [])]),
  );
}

/**
 * Runs `work` with a client, and turns each expected failure into a CommandFailure with its exit
 * status.
 */
async function withClient<T>(
  { socket, timeout }: GlobalOptions,
  work: (client: SpawnClient) => Promise<T>,
): Promise<T> {
  try {
    using client = new SpawnClient({ socket, timeoutMs: timeout });
    return await work(client);
  } catch (cause) {
    if (cause instanceof SpawnError)
      throw new CommandFailure(cause.message, EXIT_STATUS[cause.kind], { cause });
    if (cause instanceof SyscallError) throw new CommandFailure(cause.message, EX_OSERR, { cause });
    // The address of the socket is invalid, or the maps are too large for a request.
    if (cause instanceof RangeError) throw new CommandFailure(cause.message, EX_USAGE, { cause });
    throw cause;
  }
}
