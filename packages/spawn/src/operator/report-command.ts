/**
 * `cm4all-spawn report`. Another process asks the database and hands over the text; only the file
 * is written by this one.
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
    .description("make an HTML file of what customers have used, from the database of fleet.sql")
    .requiredOption("--html <file>", "the file to write; - for standard output")
    .option("--from <day>", "the first day, YYYY-MM-DD; by default of the month of --to", day)
    .option("--to <day>", "the last day; today by default", day)
    .option("--customer <customer>", "of this customer alone")
    .option(
      "--top <number>",
      "how many customers have a row; the others have one together",
      top,
      1000,
    )
    .option("--database <database>", "a database, or a URI of one", "accounting")
    .option("--user <user>", "as whom root asks the database", "nobody")
    .action(makeReport);
}

function day(text: string): string {
  const parsed = parseDay(text);
  if (parsed === undefined) throw new InvalidArgumentError("It is no day such as 2026-01-31.");
  return parsed;
}

function top(text: string): number {
  const number = Number(text);
  if (/^\d{1,6}$/.test(text) && number >= 1 && number <= 100_000) return number;
  throw new InvalidArgumentError("It is no number from 1 to 100000.");
}

async function makeReport(options: CommandOptions): Promise<void> {
  const to = options.to ?? formatDay(new Date());
  const from = options.from ?? `${to.slice(0, 7)}-01`;
  if (from > to) throw new CommandFailure(`--from ${from} is after ${to}`, EX_USAGE);
  const { customer, top, database, html } = options;
  // It is not said what was given: there may be a password in it.
  if (!isDatabase(database))
    throw new CommandFailure(
      "--database takes the name of a database, or a URI such as postgresql://host/accounting",
      EX_USAGE,
    );
  const text = await runReport({ from, to, customer, top, database }, options.user);
  if (html === "-") process.stdout.write(text);
  else writeReport(html, text);
}
