/** The command line of `cm4all-spawn`. */
import { CommandFailure, EX_USAGE } from "@cm4all/command";
import { runCommand } from "@cm4all/command/run";
import { Command } from "commander";
import { type Config, DEFAULT_CONFIG_FILE, readConfig } from "./config.ts";
import { askDaemon } from "./control.ts";
import { runDaemon } from "./daemon.ts";
import { type DaemonStatus, formatStatus } from "./status.ts";

/** Between two looks of `status --watch`. */
const WATCH_INTERVAL_MS = 1000;

interface GlobalOptions {
  readonly config?: string;
  readonly listen?: string;
  readonly control?: string;
  readonly verbose?: boolean;
  readonly checkConfig?: boolean;
  /** False where cgroups are not to be reaped. */
  readonly reaper: boolean;
}

/** The configuration with what the command line says instead. */
function override(config: Config, options: GlobalOptions): Config {
  return {
    ...config,
    namespaces: {
      ...config.namespaces,
      ...(options.listen === undefined ? {} : { listen: options.listen }),
    },
    reaper: options.reaper ? config.reaper : { ...config.reaper, enabled: false },
    control: options.control === undefined ? config.control : { socket: options.control },
  };
}

async function daemon(options: GlobalOptions): Promise<void> {
  if (options.checkConfig === true) {
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

function controlSocket(options: GlobalOptions): string {
  const path = options.control ?? readConfig(options.config).control.socket;
  if (path === "")
    throw new CommandFailure("the configuration says that there is no control socket", EX_USAGE);
  return path;
}

interface StatusOptions {
  readonly json?: boolean;
  readonly watch?: boolean;
}

async function showStatus(options: GlobalOptions, { json, watch }: StatusOptions): Promise<void> {
  const path = controlSocket(options);
  const lines = async () => {
    const status = (await askDaemon(path, { command: "status" })) as DaemonStatus;
    return json === true ? JSON.stringify(status, undefined, 2).split("\n") : formatStatus(status);
  };
  if (watch !== true) {
    console.log((await lines()).join("\n"));
    return;
  }
  const screen = await import("@cm4all/command/screen");
  const { stdin: input, stdout: output } = process;
  const fullScreen = output.isTTY && json !== true;
  await screen.watch({ draw: lines, intervalMs: WATCH_INTERVAL_MS, fullScreen, input, output });
}

/** Reads the configuration and loads the script as the daemon would. */
async function check(options: GlobalOptions): Promise<void> {
  const config = override(readConfig(options.config), options);
  const { checkAccounting } = await import("./accounting/commands.ts");
  console.log(`${options.config ?? DEFAULT_CONFIG_FILE}: no mistakes found`);
  await checkAccounting(config);
}

async function measure(options: GlobalOptions, path: string): Promise<void> {
  const { measureCgroup } = await import("./accounting/commands.ts");
  const { report, snapshot } = measureCgroup(readConfig(options.config), path);
  console.error(report ?? `${path}: nothing is known about it`);
  console.log(JSON.stringify(snapshot, undefined, 2));
}

interface LuaOptions {
  readonly cgroup?: string;
  readonly recorded?: string;
}

async function runLua(options: GlobalOptions, script: string, from: LuaOptions): Promise<void> {
  const config = readConfig(options.config);
  const { measureCgroup, readRecorded, runScript } = await import("./accounting/commands.ts");
  if ((from.cgroup === undefined) === (from.recorded === undefined))
    throw new CommandFailure("give either --cgroup or --recorded", EX_USAGE);
  const snapshot =
    from.recorded === undefined
      ? measureCgroup(config, from.cgroup ?? "").snapshot
      : readRecorded(from.recorded);
  await runScript(config, script, snapshot);
}

async function purgeNamespaces(options: GlobalOptions, onlyIdle: boolean): Promise<void> {
  const answer = await askDaemon(controlSocket(options), { command: "purge-namespaces", onlyIdle });
  const { ended, left } = answer as { ended: number; left: number };
  console.log(`ended ${ended} names, ${left} are left`);
}

export async function runCommandLine(): Promise<void> {
  const program = new Command("cm4all-spawn")
    .description(
      "The CM4all spawn daemon: creates namespaces for process spawners and keeps them.\n" +
        "Without a subcommand it runs in the foreground until SIGTERM or SIGINT.",
    )
    .version(__VERSION__)
    .option("-c, --config <file>", `the configuration (default: ${DEFAULT_CONFIG_FILE})`)
    .option("--check-config", "check the configuration and exit")
    .option("--listen <address>", "where clients connect: @NAME, or a path")
    .option("--control <path>", "the administrators' socket; empty for none")
    .option("--no-reaper", "leave cgroups alone: serve namespaces only")
    .option("-v, --verbose", "log more")
    .addHelpText(
      "after",
      "\nSignals: SIGHUP reads the configuration again; SIGTERM and SIGINT end the daemon.",
    );
  program.action(() => daemon(program.opts<GlobalOptions>()));
  program
    .command("status")
    .description("show what the running daemon has")
    .option("--json", "as JSON")
    .option("--watch", "again every second, until q or Control-C")
    .action((options: StatusOptions) => showStatus(program.opts(), options));
  program
    .command("purge-namespaces")
    .description("end the names of the running daemon with all processes in their PID namespaces")
    .option("--idle", "only names that are not leased and in which no process runs")
    .action((options: { idle?: boolean }) =>
      purgeNamespaces(program.opts(), options.idle === true),
    );
  program
    .command("check")
    .description("check the configuration, and load the script as the daemon would")
    .action(() => check(program.opts()));
  program
    .command("measure <cgroup>")
    .description("show what would be measured of a cgroup now, as JSON, and its log line")
    .action((path: string) => measure(program.opts(), path));
  program
    .command("lua <script>")
    .description("run a script's handler once, to try it")
    .option("--cgroup <path>", "for this cgroup as it is now; nothing is deleted")
    .option("--recorded <file>", "for what the command measure has printed")
    .action((script: string, from: LuaOptions) => runLua(program.opts(), script, from));
  await runCommand(program);
}
