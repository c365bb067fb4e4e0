/**
 * Runs the program that makes a report from the database. The program has only the privileges of
 * its user and of that user's role in the database.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { dirname, join } from "node:path";
import { CommandFailure, EX_CONFIG, EX_SOFTWARE, EX_UNAVAILABLE } from "@cm4all/command";
import { isErrno } from "@cm4all/linux";
import { findUser, type SystemUser } from "../accounting/terms/user.ts";
import { DATABASE_FAILED, REPORT_END, type ReportOptions } from "../report/options.ts";

/** Keeps Node from starting a debugger on SIGUSR1; packages/dev/bundle.mjs gives the reason. */
const NO_DEBUGGER = "--inspect-port=192.0.2.1:9229";

/**
 * Returns the report as HTML.
 * @param user the user as whom the program runs, if root starts the command; other users run it as
 *   themselves
 * @throws CommandFailure
 */
export async function runReport(options: ReportOptions, user: string): Promise<Buffer> {
  const program = join(dirname(__filename), "cm4all-spawn-report.js");
  const child = spawn(process.execPath, [NO_DEBUGGER, program], {
    cwd: "/",
    stdio: "pipe",
    ...(process.getuid?.() === 0 ? rightsOf(user) : {}),
  });
  const chunks: Buffer[] = [];
  let said = "";
  child.stdout.on("data", (chunk: Buffer) => chunks.push(chunk));
  child.stderr.setEncoding("utf8").on("data", (chunk: string) => {
    said += chunk;
  });
  child.stdin.on("error", (error) => {
    // The program ended before it had read the options; `failureOf` reports why.
    if (!isErrno(error, "EPIPE")) child.emit("error", error);
  });
  child.stdin.end(JSON.stringify(options));
  const [status, signal] = await once(child, "close");
  const report = Buffer.concat(chunks);
  // Node reports the status 0 after a signal for which it has no name, such as a real-time signal:
  // only REPORT_END shows that the report is complete.
  if (status === 0 && report.subarray(-REPORT_END.length).toString() === REPORT_END) return report;
  throw failureOf(options.database, status ?? signal, said);
}

/**
 * Returns the failure of a program that has made no report.
 * @param said the program's stderr, whose last line gives the reason
 */
export function failureOf(database: string, status: number | string, said: string): CommandFailure {
  const how = status === 0 ? "before the report was complete" : `with ${status}`;
  const reason = said.trimEnd().split("\n").at(-1) || `its process ended ${how}`;
  return status === DATABASE_FAILED
    ? new CommandFailure(
        `cannot read the bills in ${nameOf(database)}: ${reason}. The role must be a member of fleet_reader (PGHOST, PGUSER and ~/.pgpass say how to connect)`,
        EX_UNAVAILABLE,
      )
    : new CommandFailure(`cannot make the report: ${reason}`, EX_SOFTWARE);
}

/** Returns the name of a database for a message. A URI is left out: it may contain a password. */
function nameOf(database: string): string {
  return database.includes("://") ? "the database" : database;
}

/**
 * Returns the options that run a program as a user, without root's groups.
 * @throws CommandFailure
 */
function rightsOf(name: string): { uid: number; gid: number; env: NodeJS.ProcessEnv } {
  const user = findUser(name);
  if (user === undefined) throw new CommandFailure(`--user: there is no user ${name}`, EX_CONFIG);
  return { uid: user.uid, gid: user.gid, env: environmentOf(user, process.env) };
}

/**
 * The variables of root's environment that are passed on: those for the search path, the locale,
 * the time zone and PostgreSQL.
 */
const HANDED_OVER = /^(PATH|LANG|LC_.*|TZ|PG.*)$/;

/** Returns a user's environment. Of root's secrets, it has only those for PostgreSQL. */
export function environmentOf(
  { name, home }: SystemUser,
  roots: NodeJS.ProcessEnv,
): NodeJS.ProcessEnv {
  const handed = Object.entries(roots).filter(([variable]) => HANDED_OVER.test(variable));
  return { ...Object.fromEntries(handed), HOME: home, USER: name, LOGNAME: name };
}
