/**
 * The program that `cm4all-spawn report` starts: it queries the database and writes the report to
 * standard output. The options are read as JSON from standard input, because other users can see
 * arguments, and a URI may contain a password. The parent process has checked the options.
 */
import { text } from "node:stream/consumers";
import { readReport } from "./database.ts";
import { formatReport } from "./html.ts";
import { DATABASE_FAILED, type ReportOptions } from "./options.ts";

/** Prints an error's message as the last line of stderr, and ends the process. */
function fail(error: unknown, status: number): never {
  const { message, code } = error as Error & { code?: string };
  // Errors of a connection may have no message, only a code.
  console.error(message || code || String(error));
  process.exit(status);
}

async function makeReport(): Promise<void> {
  const options: ReportOptions = JSON.parse(await text(process.stdin));
  const data = await readReport(options).catch((error) => fail(error, DATABASE_FAILED));
  process.stdout.write(formatReport(options, data, new Date()));
}

makeReport().catch((error) => fail(error, 1));
