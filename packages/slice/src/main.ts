import { runCommand } from "@cm4all/command/run";
import { Command, InvalidArgumentError, Option } from "commander";
import { directives } from "./directives.ts";
import { install, remove, type TargetOptions } from "./install-command.ts";
import { makeUnits, type SourceOptions } from "./sources.ts";
import { type StatusOptions, status } from "./status-command.ts";
import { ADMIN_UNIT_DIR } from "./systemd.ts";

const NAME = "[name]";
const NAME_HELP = "the slice system-cm4all-NAME.slice, which is nested in system-cm4all.slice";
const ROOT_HELP = "act on the image or container below this directory";

function addSourceOptions(command: Command): Command {
  const collect = (value: string, values: string[]) => [...values, value];
  return command
    .addOption(
      new Option("-p, --property <NAME=VALUE>", "set a directive (can be repeated)")
        .default([], "none")
        .argParser(collect),
    )
    .option("--config <file>", "the configuration (default: /etc/cm4all/spawn/slice.toml)")
    .option("--no-config", "use no configuration file")
    .option("--root <directory>", ROOT_HELP);
}

function addTargetOptions(command: Command): Command {
  return command
    .option("--unit-dir <directory>", "where the unit files belong", ADMIN_UNIT_DIR)
    .option("--dry-run", "change nothing, show a unified diff")
    .option("--force", "also replace or remove a unit file that is not from here");
}

type StatusFlags = Omit<StatusOptions, "intervalMs"> & { interval: number };

function parseInterval(text: string): number {
  const seconds = Number(text);
  if (!/^\d+(\.\d+)?$/.test(text) || seconds < 0.1 || seconds > 3600)
    throw new InvalidArgumentError("Expected seconds from 0.1 to 3600.");
  return seconds;
}

const program = new Command("cm4all-slice")
  .description("Generates, installs and shows the systemd slice of the process spawners")
  .version(__VERSION__);

addSourceOptions(program.command("generate"))
  .description("print the unit")
  .argument(NAME, NAME_HELP)
  .action(async (name: string | undefined, options: SourceOptions) => {
    for (const unit of (await makeUnits(name, options)).values()) {
      process.stdout.write(unit);
      return;
    }
  });

addTargetOptions(addSourceOptions(program.command("install")))
  .description("write the unit and those of the nested slices, where that changes something")
  .argument(NAME, `only ${NAME_HELP}`)
  .action(async (name: string | undefined, options: TargetOptions & SourceOptions) => {
    await install(name, options);
  });

addTargetOptions(program.command("remove"))
  .description("remove what install wrote")
  .argument(NAME, `only ${NAME_HELP}`)
  .option("--root <directory>", ROOT_HELP)
  .action((name: string | undefined, options: TargetOptions) => {
    remove(name, options);
  });

program
  .command("status")
  .description("show memory, CPU and tasks of the slice and of all in it")
  .argument(NAME, `only ${NAME_HELP}`)
  .option("-a, --all", "also the cgroups inside scopes and services")
  .option("--json", "print JSON; with --watch, one line each time")
  .option("-w, --watch", "show it again and again, until q or Control-C")
  .addOption(
    new Option("-n, --interval <seconds>", "how often, implies --watch")
      .argParser(parseInterval)
      .default(2)
      .implies({ watch: true }),
  )
  .option("--cgroup-root <directory>", "where cgroup2 is mounted (default: found out)")
  .action(async (name: string | undefined, { interval, ...options }: StatusFlags) => {
    await status(name, { ...options, intervalMs: interval * 1000 });
  });

program
  .command("directives")
  .description("list the directives, since which systemd they exist, and what is allowed")
  .action(() => {
    for (const { name, since, grammar } of directives)
      console.log(`${name}= (systemd ${since})\n    ${grammar.allowed}`);
  });

void runCommand(program);
