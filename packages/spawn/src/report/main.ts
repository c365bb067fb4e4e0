/**
 * The program that `cm4all-spawn report` starts: it asks the database and writes the report to
 * standard output. Its only argument is its options as JSON; what they say was checked.
 */
import { readReport } from "./database.ts";
import { formatReport } from "./html.ts";
import type { ReportOptions } from "./options.ts";

const options: ReportOptions = JSON.parse(process.argv[2] ?? "");

readReport(options).then(
  (data) => {
    process.stdout.write(formatReport(options, data, new Date()));
  },
  (error: unknown) => {
    const { message, code } = error as Error & { code?: string };
    // libpq's clients say nothing of the address.
    console.error(message || code || String(error));
    process.exitCode = 1;
  },
);
