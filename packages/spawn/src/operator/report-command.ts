/**
 * `cm4all-spawn report`. Another process asks the database: it has no rights but those of its
 * user and of its role there, and hands over the text; only the file is written by this one.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { CommandFailure, EX_CANTCREAT, EX_CONFIG, EX_UNAVAILABLE, EX_USAGE } from "@cm4all/command";
import { type Command, InvalidArgumentError } from "commander";
import { findUser } from "../accounting/terms/user.ts";
import { formatDay, parseDay, type ReportOptions } from "../report/options.ts";

interface CommandOptions {
  readonly from?: string;
  readonly to?: string;
  readonly customer?: string;
  readonly database: string;
  readonly user: string;
  readonly html: string;
}

export function declareReportCommand(program: Command): void {
  program
    .command("report")
    .description("make an HTML file of what customers have used, from the database of fleet.sql")
    .requiredOption("--html <file>", "the file to write; - for standard output")
    .option("--from <day>", "the first day, YYYY-MM-DD; that of this month by default", day)
    .option("--to <day>", "the last day; today by default", day)
    .option("--customer <name>", "of this customer alone")
    .option("--database <name>", "a database, or a URI of one", "accounting")
    .option("--user <name>", "as whom root asks the database", "nobody")
    .action(makeReport);
}

function day(text: string): string {
  const parsed = parseDay(text);
  if (parsed === undefined) throw new InvalidArgumentError("It is no day such as 2026-01-31.");
  return parsed;
}

async function makeReport(options: CommandOptions): Promise<void> {
  const to = options.to ?? formatDay(new Date());
  const from = options.from ?? `${to.slice(0, 7)}-01`;
  if (from > to) throw new CommandFailure(`--from ${from} is after ${to}`, EX_USAGE);
  const { customer, database, html } = options;
  const text = await askDatabase({ from, to, customer, database }, options.user);
  if (html === "-") process.stdout.write(text);
  else writeReport(html, text);
}

/** @throws CommandFailure */
async function askDatabase(options: ReportOptions, user: string): Promise<Buffer> {
  const program = join(dirname(__filename), "cm4all-spawn-report.js");
  const child = spawn(process.execPath, [program, JSON.stringify(options)], {
    cwd: "/",
    stdio: ["ignore", "pipe", "pipe"],
    ...(process.getuid?.() === 0 ? rightsOf(user) : {}),
  });
  const chunks: Buffer[] = [];
  let said = "";
  child.stdout.on("data", (chunk: Buffer) => chunks.push(chunk));
  child.stderr.setEncoding("utf8").on("data", (chunk: string) => {
    said += chunk;
  });
  const [status] = await once(child, "close");
  if (status !== 0)
    throw new CommandFailure(
      `cannot read the bills in ${nameOf(options.database)}: ${said.trim()}. It takes a role that is a member of fleet_reader (PGHOST, PGUSER and ~/.pgpass say how to connect)`,
      EX_UNAVAILABLE,
    );
  return Buffer.concat(chunks);
}

/** A URI may have a password in it. */
function nameOf(database: string): string {
  return database.includes("://") ? "the database" : database;
}

/** Without root's groups, which it would keep otherwise. @throws CommandFailure */
function rightsOf(name: string): { uid: number; gid: number; env: NodeJS.ProcessEnv } {
  const user = findUser(name);
  if (user === undefined) throw new CommandFailure(`--user: there is no user ${name}`, EX_CONFIG);
  const { uid, gid, home } = user;
  return { uid, gid, env: { ...process.env, HOME: home, USER: name, LOGNAME: name } };
}

/** Bills are nobody else's business. @throws CommandFailure */
function writeReport(path: string, text: Buffer): void {
  try {
    writeFileSync(path, text, { mode: 0o600 });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new CommandFailure(`cannot write the report: ${reason}`, EX_CANTCREAT, { cause: error });
  }
}
