/** `cm4all-spawn list`, `status NAME` and `purge-namespaces`. */
import {
  CommandFailure,
  didYouMean,
  EX_DATAERR,
  EX_USAGE,
  printable,
  wrapRows,
} from "@cm4all/command";
import type { Command } from "commander";
import { type Ask, askFor, pagesOf } from "../control/commands.ts";
import type { NameStatus } from "../namespaces/names/name-status.ts";
import { formatName, formatNames } from "./format-names.ts";
import { withProcesses } from "./processes.ts";

/** The maximum number of names for which one request asks. */
const PAGE = 500;

interface JsonOption {
  readonly json?: boolean;
}

interface PurgeOptions extends JsonOption {
  readonly all?: boolean;
  readonly idle?: boolean;
}

/** Adds the subcommands that list and end names. */
export function declareNameCommands(program: Command, ask: Ask): void {
  program
    .command("list")
    .description("list the names of the running daemon, and the processes that hold their leases")
    .option("--json", "as a JSON array")
    .action(async ({ json }: JsonOption) => {
      const names = withProcesses(await listNames(ask));
      if (json === true) console.log(JSON.stringify(names, undefined, 2));
      else if (names.length === 0) console.log("there are no names");
      else console.log(formatNames(names).join("\n"));
    });
  program
    .command("purge-namespaces [name...]")
    .description("end names of the running daemon, and all processes in their PID namespaces")
    .option("--all", "all names, even if they are in use")
    .option("--idle", "only names without a lease and without processes")
    .option("--json", "print, as JSON, the numbers of names ended and left")
    .action(async (names: string[], options: PurgeOptions) => {
      const { idle = false, json } = options;
      requireExtent(names, options);
      for (const name of names) await findName(ask, name);
      // `undefined` stands for all names.
      const pages = names.length === 0 ? [undefined] : pagesOf(names);
      const result = { ended: 0, left: 0 };
      for (const page of pages) {
        const { ended, left } = await askFor(ask, "purge-namespaces", {
          onlyIdle: idle,
          names: page,
        });
        result.ended += ended;
        result.left = left;
      }
      if (json === true) console.log(JSON.stringify(result, undefined, 2));
      else console.log(`names ended: ${result.ended}, left: ${result.left}`);
    });
}

/**
 * Requires either names or --all: an empty list, such as that of an empty shell variable, must not
 * stand for all names.
 * @throws CommandFailure
 */
function requireExtent(
  names: readonly string[],
  { all = false, idle = false }: PurgeOptions,
): void {
  if (names.length > 0 && all)
    throw new CommandFailure("purge-namespaces takes either names or --all", EX_USAGE);
  if (names.length === 0 && !all) {
    const wanted = idle ? "--all --idle for all that are not in use" : "--all";
    throw new CommandFailure(`purge-namespaces needs names, or ${wanted}`, EX_USAGE);
  }
}

/** Shows the status of a name. @throws CommandFailure (rejects) if the name does not exist */
export async function showName(
  ask: Ask,
  name: string,
  { json }: JsonOption,
  columns: number | undefined,
): Promise<void> {
  for (const each of withProcesses([await findName(ask, name)]))
    console.log(
      json === true
        ? JSON.stringify(each, undefined, 2)
        : wrapRows(formatName(each), columns).join("\n"),
    );
}

async function findName(ask: Ask, name: string): Promise<NameStatus> {
  const { found } = await askFor(ask, "find-name", { name });
  if (found !== undefined) return found;
  const names = await listNames(ask);
  const suggestion = didYouMean(
    name,
    names.map((each) => each.name),
  );
  throw new CommandFailure(`there is no name ${printable(name)}${suggestion}`, EX_DATAERR);
}

async function listNames(ask: Ask): Promise<NameStatus[]> {
  const names: NameStatus[] = [];
  for (;;) {
    const page = await askFor(ask, "list-names", {
      after: names.at(-1)?.name ?? "",
      limit: PAGE,
    });
    if (page.length === 0) return names;
    names.push(...page);
  }
}
