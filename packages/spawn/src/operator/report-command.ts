/**
 * `cm4all-spawn report`. A child process queries the database and makes the HTML; this process
 * only writes the file.
 */
import { CommandFailure, EX_USAGE } from "@cm4all/command";
import { type Command, InvalidArgumentError } from "commander";
import { formatDay, isDatabase, parseDay } from "../report/options.ts";
import { writeReport } from "./report-file.ts";
import { runReport } from "./report-process.ts";

interface CommandOptions {
  readonly from?: string;
  readonly to?: string;
  readonly customer?: string;
  readonly top: number;
  readonly database: string;
  readonly user: string;
  readonly html: string;
}

/** Adds the subcommand `report`. */
export function declareReportCommand(program: Command): void {
  program
    .command("report")
    .description(
      "write an HTML report of the usage of customers, from the database that fleet.sql sets up",
    )
    .requiredOption("--html <file>", "the file to write; - for standard output")
    .option(
      "--from <day>",
      "the first day, YYYY-MM-DD; by default the first of the month of --to",
      day,
    )
    .option("--to <day>", "the last day; by default today", day)
    .option("--customer <customer>", "only this customer")
    .option(
      "--top <number>",
      "how many customers have their own row; the others share one",
      top,
      1000,
    )
    .option("--database <database>", "the name of a database, or its URI", "accounting")
    .option("--user <user>", "the user who runs the query if root starts the command", "nobody")
    .action(makeReport);
}

function day(text: string): string {
  const parsed = parseDay(text);
  if (parsed === undefined) throw new InvalidArgumentError("It is not a day such as 2026-01-31.");
  return parsed;
}

function top(text: string): number {
  const number = Number(text);
  if (/^\d{1,6}$/.test(text) && number >= 1 && number <= 100_000) return number;
  throw new InvalidArgumentError("It is not a number from 1 to 100000.");
}

async function makeReport(options: CommandOptions): Promise<void> {
  const to = options.to ?? formatDay(new Date());
  const from = options.from ?? `${to.slice(0, 7)}-01`;
  if (from > to) throw new CommandFailure(`--from ${from} is after ${to}`, EX_USAGE);
  const { customer, top, database, html } = options;
  // The message does not repeat the value, which may contain a password.
  if (!isDatabase(database))
    throw new CommandFailure(
      "--database takes the name of a database, or a URI such as postgresql://host/accounting",
      EX_USAGE,
    );
  const text = await runReport({ from, to, customer, top, database }, options.user);
  if (html === "-") process.stdout.write(text);
  else writeReport(html, text);
}
