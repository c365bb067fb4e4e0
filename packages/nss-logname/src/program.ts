/** The command line of cm4all-logname. */
import { EX_UNAVAILABLE } from "@cm4all/command";
import { openTree, type Tree } from "@cm4all/command/tree";
import { Command } from "commander";
import { ConfigurationChange } from "./configuration.ts";
import { copyModule } from "./copy-module.ts";
import { addService, removeService, serviceName } from "./edit.ts";
import { moduleName } from "./libraries.ts";
import { formatSections, reportModule } from "./report.ts";
import { readLibraries, readStatus } from "./status.ts";

interface Options {
  root: string;
  copyModule?: boolean;
  module?: string;
}

/** Returns the command with its subcommands, without reading any arguments. */
export function makeProgram(): Command {
  const program = new Command("cm4all-logname")
    .description(
      "Adds the NSS service cm4all_logname to nsswitch.conf. It gives the current uid the " +
        "name $LOGNAME if no other service has an entry for it, as in many containers.",
    )
    .version(__VERSION__)
    .addHelpText(
      "after",
      "\nExamples:\n" +
        "  cm4all-logname install\n" +
        "  cm4all-logname install --root /var/lib/machines/web --copy-module\n" +
        "  cm4all-logname status\n",
    );
  const rootOption = [
    "--root <directory>",
    "work on the system or image in this directory",
    "/",
  ] as const;

  program
    .command("install")
    .description(
      "put the service last in the passwd and group lines, so that every real account " +
        "takes precedence; a second call changes nothing",
    )
    .option(...rootOption)
    .option("--copy-module", `also copy ${moduleName} there, beside each C library`)
    .option(
      "--module <file>",
      "copy this file instead of this system's module; implies --copy-module",
    )
    .action(install);
  program
    .command("remove")
    .description("remove the service from the passwd and group lines; the module stays")
    .option(...rootOption)
    .action(remove);
  program
    .command("status")
    .description(
      "show whether the module and the configuration are in place, and what the module " +
        "answers now; the exit status is 69 if the module or the configuration is not in place",
    )
    .option(...rootOption)
    .action(status);
  return program;
}

function install({ root, copyModule: wantsModule = false, module }: Options): void {
  using tree = openTree(root);
  // The steps that may be refused come first, then the module, then the line that makes glibc
  // load it.
  using change = new ConfigurationChange(tree, addService);
  if (wantsModule || module !== undefined)
    for (const line of copyModule(tree, module)) console.log(line);
  if (change.isNeeded) change.write();
  console.log(
    `${change.path}: ${serviceName} ${change.isNeeded ? "is now" : "was already"} last in passwd and group`,
  );
  warnWithoutModule(tree);
}

function warnWithoutModule(tree: Tree): void {
  const { isGood, lines } = reportModule(readLibraries(tree));
  if (isGood) return;
  console.error(
    `Note: nothing answers yet in ${tree.root}, as there is no ${moduleName}: ${lines.join("; ")}. ` +
      "Install the package libnss-cm4all-logname there, or use --copy-module.",
  );
}

function remove({ root }: Options): void {
  using tree = openTree(root);
  using change = new ConfigurationChange(tree, removeService);
  if (change.isNeeded) change.write();
  console.log(
    change.isNeeded
      ? `${change.path}: ${serviceName} was removed from passwd and group`
      : `${change.path}: ${serviceName} is not there`,
  );
}

function status({ root }: Options): void {
  using tree = openTree(root);
  const sections = readStatus(tree);
  console.log(formatSections(sections));
  if (!sections.every((section) => section.isGood)) process.exitCode = EX_UNAVAILABLE;
}
