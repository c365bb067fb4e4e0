import { runCommand } from "@cm4all/command/run";
import { openTree } from "@cm4all/command/tree";
import { Command, InvalidArgumentError, Option } from "commander";
import { directives } from "./directives.ts";
import { install, remove, type TargetOptions } from "./install-command.ts";
import { makeUnits, type SourceOptions } from "./sources.ts";
import { type StatusOptions, status } from "./status-command.ts";
import { ADMIN_UNIT_DIR } from "./systemd.ts";

const NAME = "[name]";
const NAME_HELP = "the slice system-cm4all-NAME.slice, which is nested in system-cm4all.slice";
const ROOT_HELP = "work on the image or container in this directory";

function addSourceOptions(command: Command): Command {
  const collect = (value: string, values: string[]) => [...values, value];
  return command
    .addOption(
      new Option("-p, --property <NAME=VALUE>", "set a directive; repeatable")
        .default([], "none")
        .argParser(collect),
    )
    .option("--config <file>", "the configuration (default: /etc/cm4all/spawn/slice.toml)")
    .option("--no-config", "use no configuration file")
    .option("--root <directory>", ROOT_HELP);
}

function addTargetOptions(command: Command): Command {
  return command
    .option("--unit-dir <directory>", "the directory of the unit files", ADMIN_UNIT_DIR)
    .option("--dry-run", "change nothing; print a unified diff of the changes")
    .option(
      "--force",
      "also replace or remove unit files that install did not write, and masked units",
    );
}

type StatusFlags = Omit<StatusOptions, "intervalMs"> & { interval: number };

function parseInterval(text: string): number {
  const seconds = Number(text);
  if (!/^\d+(\.\d+)?$/.test(text) || seconds < 0.1 || seconds > 3600)
    throw new InvalidArgumentError("Expected a number of seconds from 0.1 to 3600.");
  return seconds;
}

const program = new Command("cm4all-slice")
  .description("Generates, installs and shows the systemd slice of the process spawners.")
  .version(__VERSION__);

addSourceOptions(program.command("generate"))
  .description("print the unit of the slice")
  .argument(NAME, NAME_HELP)
  .action(async (name: string | undefined, options: SourceOptions) => {
    using tree = options.config === undefined ? openTree(options.root) : undefined;
    for (const unit of (await makeUnits(name, options, tree)).values()) {
      process.stdout.write(unit);
      return;
    }
  });

addTargetOptions(addSourceOptions(program.command("install")))
  .description("write the units of the slice and of the nested slices, if they have changed")
  .argument(NAME, `only ${NAME_HELP}`)
  .action(async (name: string | undefined, options: TargetOptions & SourceOptions) => {
    await install(name, options);
  });

addTargetOptions(program.command("remove"))
  .description("remove the units that install wrote")
  .argument(NAME, `only ${NAME_HELP}`)
  .option("--root <directory>", ROOT_HELP)
  .action((name: string | undefined, options: TargetOptions) => {
    remove(name, options);
  });

program
  .command("status")
  .description("show CPU time, memory and tasks of each unit in the slice")
  .argument(NAME, `only ${NAME_HELP}`)
  .option("-a, --all", "also show the cgroups in scopes and services")
  .option("--json", "as JSON; with --watch, one line for each update")
  .option("-w, --watch", "update continuously, until q or Control-C")
  .addOption(
    new Option("-n, --interval <seconds>", "the seconds between updates; implies --watch")
      .argParser(parseInterval)
      .default(2)
      .implies({ watch: true }),
  )
  .option("--cgroup-root <directory>", "where cgroup2 is mounted (default: from the mount table)")
  .action(async (name: string | undefined, { interval, ...options }: StatusFlags) => {
    await status(name, { ...options, intervalMs: interval * 1000 });
  });

program
  .command("directives")
  .description(
    "list the directives, each with the version of systemd that it needs and the allowed values",
  )
  .action(() => {
    for (const { name, since, grammar } of directives)
      console.log(`${name}= (systemd ${since})\n    ${grammar.allowed}`);
  });

void runCommand(program);
