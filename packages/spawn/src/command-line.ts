/** The command line of `cm4all-spawn`. */
import {
  CommandFailure,
  didYouMean,
  EX_UNAVAILABLE,
  EX_USAGE,
  printable,
  printableLines,
} from "@cm4all/command";
import { bytesOfArgument } from "@cm4all/command/arguments";
import { leaveOutput, runCommand, watchOutput } from "@cm4all/command/run";
import { type ByteString, bytesOf, bytesOfText, textOf } from "@cm4all/linux";
import { Command, InvalidArgumentError } from "commander";
import { declareRecordCommands, type OpenRecords } from "./accounting/commands/record-commands.ts";
import { type Config, DEFAULT_CONFIG_FILE, readConfig } from "./config.ts";
import { type Ask, daemonRecords } from "./control/commands.ts";
import { ANSWER_TIMEOUT_MS, askDaemon } from "./control/server.ts";
import { runDaemon } from "./daemon.ts";
import { findControl } from "./operator/control-place.ts";
import { declareNameCommands } from "./operator/name-commands.ts";
import { declareReloadCommand } from "./operator/reload-command.ts";
import { declareReportCommand } from "./operator/report-command.ts";
import { declareStatusCommand } from "./operator/status-command.ts";

interface GlobalOptions {
  readonly config?: string;
  readonly listen?: string;
  readonly control?: string;
  readonly journal?: string;
  /** How long a command waits for an answer from the daemon, in seconds. */
  readonly timeout: number;
  readonly scriptHosts?: string;
  readonly verbose?: boolean;
  readonly checkConfig?: boolean;
  /** False if cgroups are not to be reaped. */
  readonly reaper: boolean;
}

/** Returns the configuration with the values of the command line, which take precedence. */
function override(config: Config, options: GlobalOptions): Config {
  return {
    ...config,
    namespaces: {
      ...config.namespaces,
      ...(options.listen === undefined ? {} : { listen: options.listen }),
    },
    reaper: options.reaper ? config.reaper : { ...config.reaper, enabled: false },
    accounting: {
      ...config.accounting,
      ...(options.journal === undefined
        ? {}
        : { journal: { ...config.accounting.journal, directory: options.journal } }),
      hostSocket: options.scriptHosts,
    },
    control: options.control === undefined ? config.control : { socket: options.control },
  };
}

async function daemon(options: GlobalOptions): Promise<void> {
  if (options.checkConfig === true) {
    watchOutput("cm4all-spawn");
    readConfig(options.config);
    console.log(`${options.config ?? DEFAULT_CONFIG_FILE}: no mistakes found`);
    return;
  }
  await runDaemon({
    configFile: options.config,
    override: (config) => override(config, options),
    verbose: options.verbose === true,
  });
}

/**
 * Returns the path of the control socket; empty if there is none. Prints a warning if the path is a
 * guess.
 */
function likelyControl({ config, control }: GlobalOptions): string {
  const { path, mistake } = findControl(config, control);
  if (mistake !== undefined)
    console.error(
      printableLines(`cm4all-spawn: warning: ${mistake.message}; asking the daemon at ${path}`),
    );
  return path;
}

function controlSocket(options: GlobalOptions): string {
  const path = likelyControl(options);
  if (path === "")
    throw new CommandFailure("the configuration says that there is no control socket", EX_USAGE);
  return path;
}

/** The longest timeout: a day, because Node's timers are limited to less than 2^31 ms. */
const MAX_TIMEOUT_SECONDS = 86_400;

function parseSeconds(text: string): number {
  const seconds = Number(text);
  if (!(/^[\d.]+$/.test(text) && seconds > 0 && seconds <= MAX_TIMEOUT_SECONDS))
    throw new InvalidArgumentError(`It is not a number of seconds up to ${MAX_TIMEOUT_SECONDS}.`);
  return seconds;
}

function askAt(path: string, request: object, { timeout }: GlobalOptions): Promise<unknown> {
  return askDaemon(path, request, timeout * 1000);
}

/**
 * Opens the records of the running daemon or, if none is running, those in the journal's files.
 * @throws CommandFailure
 */
async function openRecords(options: GlobalOptions): Promise<OpenRecords> {
  const path = likelyControl(options);
  if (path !== "") {
    const records = daemonRecords((request) => askAt(path, request, options));
    try {
      await records.list(-1, 1);
      return { records, isRunning: true, [Symbol.asyncDispose]: async () => undefined };
    } catch (error) {
      if (!(error instanceof CommandFailure && error.exitStatus === EX_UNAVAILABLE)) throw error;
    }
  }
  const { accounting } = override(readConfig(options.config), options);
  const { OfflineRecords } = await import("./accounting/commands/offline-records.ts");
  const records = await OfflineRecords.open(accounting.journal, (text) =>
    console.error(printableLines(text)),
  );
  return { records, isRunning: false, [Symbol.asyncDispose]: () => records[Symbol.asyncDispose]() };
}

/** Checks the configuration and what it refers to; loads the script as the daemon would. */
async function check(options: GlobalOptions): Promise<void> {
  const config = override(readConfig(options.config), options);
  const { checkAccounting, checkPlaces, describeHost } = await import(
    "./accounting/commands/commands.ts"
  );
  checkPlaces(config);
  console.log(`${options.config ?? DEFAULT_CONFIG_FILE}: no mistakes found`);
  await describeHost(config);
  await checkAccounting(config);
}

async function measure(options: GlobalOptions, path: ByteString): Promise<void> {
  const { measureCgroup } = await import("./accounting/commands/commands.ts");
  const { report, record } = measureCgroup(readConfig(options.config), path);
  console.error(report ?? `${printable(textOf(path))}: nothing is known about it`);
  console.log(JSON.stringify(record, undefined, 2));
}

interface LuaOptions {
  readonly cgroup?: ByteString;
  readonly recorded?: string;
}

async function runLua(options: GlobalOptions, script: string, from: LuaOptions): Promise<void> {
  const config = readConfig(options.config);
  const { measureCgroup, readRecorded, runScript } = await import(
    "./accounting/commands/commands.ts"
  );
  if ((from.cgroup === undefined) === (from.recorded === undefined))
    throw new CommandFailure("give either --cgroup or --recorded", EX_USAGE);
  const record =
    from.recorded === undefined
      ? measureCgroup(config, from.cgroup ?? bytesOfText("")).record
      : readRecorded(from.recorded);
  await runScript(config, script, record);
}

/** Returns the bytes of an argument: names of cgroups need not be UTF-8. */
const cgroupPath = (argument: string): ByteString => bytesOf(bytesOfArgument(argument));

/** Runs the daemon or the subcommand in the arguments, and sets the exit status. */
export async function runCommandLine(): Promise<void> {
  const program = new Command("cm4all-spawn")
    .description(
      "The CM4all spawn daemon: creates namespaces for process spawners and keeps them.\n" +
        "Without a subcommand it runs in the foreground until SIGTERM, SIGINT or SIGQUIT.",
    )
    .version(__VERSION__)
    .option("-c, --config <file>", `the configuration (default: ${DEFAULT_CONFIG_FILE})`)
    .option(
      "--check-config",
      "find mistakes in the configuration file, and in the users and the cgroup_root that it names, and exit; see also the command check",
    )
    .option("--listen <address>", "the address where clients connect: @NAME, or a path")
    .option("--control <path>", "the path of the control socket; empty for none")
    .option("--journal <directory>", "the directory where records of cgroups wait to be accounted")
    .option(
      "--timeout <seconds>",
      "how long a command waits for the running daemon",
      parseSeconds,
      ANSWER_TIMEOUT_MS / 1000,
    )
    .option("--script-hosts <path>", "the socket where systemd starts processes for the script")
    .option("--no-reaper", "leave cgroups alone: serve namespaces only")
    .option("-v, --verbose", "log more")
    .addHelpText(
      "after",
      "\nSignals: SIGHUP reads the configuration again; SIGTERM, SIGINT and SIGQUIT end the daemon.",
    );
  let path: string | undefined;
  const ask: Ask = async (request) => {
    // The path is determined once, even if the command sends many requests.
    path ??= controlSocket(program.opts());
    return askAt(path, request, program.opts());
  };
  declareStatusCommand(program, ask);
  declareNameCommands(program, ask);
  declareReloadCommand(program, ask, () => {
    const { config, control } = program.opts<GlobalOptions>();
    return findControl(config, control);
  });
  declareRecordCommands(program, () => openRecords(program.opts()));
  program
    .command("check")
    .description(
      "check the configuration as --check-config does, and what it refers to: load the script as the " +
        "daemon would, report sockets and a journal that cannot be created, list the scopes that " +
        "exist, and report whether the metrics' address can be used",
    )
    .action(() => check(program.opts()));
  program
    .command("measure")
    .argument("<cgroup>", "the path of the cgroup", cgroupPath)
    .description("measure a cgroup as it is now, and print the record as JSON and its log line")
    .action((path: ByteString) => measure(program.opts(), path));
  leaveOutput(program.command("lua <script>"))
    .description("run a script's handler once, to try it")
    .option("--cgroup <path>", "for this cgroup as it is now; nothing is deleted", cgroupPath)
    .option("--recorded <file>", "for a record in a file, as the command measure prints it")
    .action((script: string, from: LuaOptions) => runLua(program.opts(), script, from));
  declareReportCommand(program);
  // Without a command, this action runs the daemon; for an unknown command, it suggests a similar
  // one. All commands are declared above, because they would inherit `allowExcessArguments` if they
  // were declared below.
  program.allowExcessArguments().action(() => {
    const [word] = program.args;
    if (word === undefined) return daemon(program.opts<GlobalOptions>());
    const names = program.commands.map((command) => command.name());
    throw new CommandFailure(`unknown command ${word}${didYouMean(word, names)}`, EX_USAGE);
  });
  // `leaveOutput`, because scripts write to the daemon's standard output, too.
  await runCommand(leaveOutput(program));
}
