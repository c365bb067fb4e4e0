/**
 * Runs the program that asks the database for a report: it has no rights but those of its user
 * and of its role there.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { dirname, join } from "node:path";
import { CommandFailure, EX_CONFIG, EX_SOFTWARE, EX_UNAVAILABLE } from "@cm4all/command";
import { isErrno } from "@cm4all/linux";
import { findUser, type SystemUser } from "../accounting/terms/user.ts";
import { DATABASE_FAILED, type ReportOptions } from "../report/options.ts";

/** No debugger on SIGUSR1; packages/dev/bundle.mjs has the reason. */
const NO_DEBUGGER = "--inspect-port=192.0.2.1:9229";

/**
 * Returns the report as HTML.
 * @param user as whom root asks; everybody else asks as himself
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
    // It has ended before it read them, and its status says so.
    if (!isErrno(error, "EPIPE")) child.emit("error", error);
  });
  child.stdin.end(JSON.stringify(options));
  const [status, signal] = await once(child, "close");
  if (status === 0) return Buffer.concat(chunks);
  throw failureOf(options.database, status ?? signal, said);
}

/** Returns what to tell of a process that has made no report, of which the last line says why. */
export function failureOf(database: string, status: number | string, said: string): CommandFailure {
  const reason = said.trimEnd().split("\n").at(-1) || `its process ended with ${status}`;
  return status === DATABASE_FAILED
    ? new CommandFailure(
        `cannot read the bills in ${nameOf(database)}: ${reason}. It takes a role that is a member of fleet_reader (PGHOST, PGUSER and ~/.pgpass say how to connect)`,
        EX_UNAVAILABLE,
      )
    : new CommandFailure(`cannot make the report: ${reason}`, EX_SOFTWARE);
}

/** A URI may have a password in it. */
function nameOf(database: string): string {
  return database.includes("://") ? "the database" : database;
}

/** Without root's groups, which it would keep otherwise. @throws CommandFailure */
function rightsOf(name: string): { uid: number; gid: number; env: NodeJS.ProcessEnv } {
  const user = findUser(name);
  if (user === undefined) throw new CommandFailure(`--user: there is no user ${name}`, EX_CONFIG);
  return { uid: user.uid, gid: user.gid, env: environmentOf(user, process.env) };
}

/** Of root's environment: where programs are, language and time, and how to connect. */
const HANDED_OVER = /^(PATH|LANG|LC_.*|TZ|PG.*)$/;

/** Returns a user's environment, which has no secrets of root's but those that are for PostgreSQL. */
export function environmentOf(
  { name, home }: SystemUser,
  roots: NodeJS.ProcessEnv,
): NodeJS.ProcessEnv {
  const handed = Object.entries(roots).filter(([variable]) => HANDED_OVER.test(variable));
  return { ...Object.fromEntries(handed), HOME: home, USER: name, LOGNAME: name };
}
