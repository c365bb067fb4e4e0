/**
 * The program that `cm4all-spawn report` starts: it asks the database and writes the report to
 * standard output. Its options come as JSON on standard input, because others see arguments, and a
 * URI may have a password in it; what they say was checked.
 */
import { text } from "node:stream/consumers";
import { readReport } from "./database.ts";
import { formatReport } from "./html.ts";
import { DATABASE_FAILED, type ReportOptions } from "./options.ts";

/** Tells why there is no report, in a line that is the last. */
function fail(error: unknown, status: number): never {
  const { message, code } = error as Error & { code?: string };
  // libpq's clients say nothing of the address.
  console.error(message || code || String(error));
  process.exit(status);
}

async function makeReport(): Promise<void> {
  const options: ReportOptions = JSON.parse(await text(process.stdin));
  const data = await readReport(options).catch((error) => fail(error, DATABASE_FAILED));
  process.stdout.write(formatReport(options, data, new Date()));
}

makeReport().catch((error) => fail(error, 1));
