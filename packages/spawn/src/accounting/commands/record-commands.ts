/** `cm4all-spawn accounting`: shows the records in the journal, and decides on them. */
import { type FileHandle, mkdtemp, open as openFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { amount, amountIs, CommandFailure, EX_DATAERR, EX_USAGE } from "@cm4all/command";
import type { Command } from "commander";
import type { AccountingRecords, FoundRecord, RecordCondition } from "../terms/records.ts";
import { formatCounts, formatLine, formatRecord, RecordTable } from "./record-table.ts";

/** The records of the running daemon, or those in the journal's files. */
export interface OpenRecords extends AsyncDisposable {
  readonly records: AccountingRecords;
  /** True if a daemon is running, which carries out decisions immediately. */
  readonly isRunning: boolean;
}

/** The number of records in a page. */
const PAGE = 200;

/** Adds the subcommand `accounting`. @param open opens the records; the command disposes of them */
export function declareRecordCommands(program: Command, open: () => Promise<OpenRecords>): void {
  const accounting = program
    .command("accounting")
    .summary("show the records in the journal that wait to be accounted, and decide on them")
    .description(
      "Shows the records that wait in the journal to be accounted, and decides on them: those of " +
        "the running daemon or, if none is running, those in the journal's files. An ID is a " +
        "record's number or a cgroup's id.",
    );
  accounting
    .command("list")
    .description("list the records, oldest first, with the reasons of those that are parked")
    .option("--json", "as a JSON array, one record per line")
    .action(async ({ json }: { readonly json?: boolean }) => {
      await print(await listOf(await open(), json === true ? listAsJson : listAsTable));
    });
  accounting
    .command("show <id...>")
    .description("show records: the state, figures and attributes, as scripts see them")
    .option("--json", "as a JSON array")
    .action(async (ids: string[], { json }: { readonly json?: boolean }) => {
      await using opened = await open();
      const found = await findAll(opened.records, ids);
      if (json === true)
        console.log(
          JSON.stringify(
            found.map(({ summary, record }) => ({ ...summary, record })),
            undefined,
            2,
          ),
        );
      else console.log(found.map((each) => formatRecord(each).join("\n")).join("\n\n"));
    });
  accounting
    .command("retry [id...]")
    .description("have the handlers of parked records called again")
    .option("--all", "for all parked records")
    .action(async (ids: string[], { all = false }: { readonly all?: boolean }) => {
      if (all === ids.length > 0) throw new CommandFailure("say which records, or --all", EX_USAGE);
      await using opened = await open();
      await retry(opened, all ? "all" : ids);
    });
  accounting
    .command("drop <id...>")
    .description("drop records: the usage of their cgroups will never be accounted")
    .action(async (ids: string[]) => {
      await using opened = await open();
      const found = await findAll(opened.records, ids);
      await opened.records.drop(found.map(({ summary }) => summary.number));
      for (const each of found) console.log(`dropped ${formatLine(each)}`);
    });
}

async function* pages(records: AccountingRecords) {
  for (let after = -1; ; ) {
    const page = await records.list(after, PAGE);
    const last = page.at(-1);
    if (last === undefined) return;
    yield page;
    after = last.number;
  }
}

async function* listAsTable(records: AccountingRecords): AsyncGenerator<string> {
  const table = new RecordTable();
  const counts = new Map<RecordCondition, number>();
  for await (const page of pages(records)) {
    for (const { state } of page) counts.set(state, (counts.get(state) ?? 0) + 1);
    yield `${table.lines(page).join("\n")}\n`;
  }
  yield counts.size === 0 ? "no records wait to be accounted\n" : `${formatCounts(counts)}\n`;
}

async function* listAsJson(records: AccountingRecords): AsyncGenerator<string> {
  let separator = "[\n";
  for await (const page of pages(records)) {
    yield separator + page.map((record) => JSON.stringify(record)).join(",\n");
    separator = ",\n";
  }
  yield separator === "[\n" ? "[]\n" : "\n]\n";
}

/**
 * Returns the parts of a list, and disposes of `opened` when the list is complete. A list from the
 * journal's files is completed before it is printed: otherwise a pager that waits would keep the
 * journal locked, and no daemon could start.
 */
async function listOf(
  opened: OpenRecords,
  list: (records: AccountingRecords) => AsyncIterable<string>,
): Promise<AsyncIterable<string>> {
  if (opened.isRunning) return disposing(opened, list(opened.records));
  await using own = opened;
  const spool = await openSpool();
  await pipeline(list(own.records), spool.createWriteStream({ autoClose: false }));
  return spool.createReadStream({ start: 0, encoding: "utf8" });
}

async function* disposing(opened: OpenRecords, parts: AsyncIterable<string>) {
  await using _ = opened;
  yield* parts;
}

/**
 * Opens a temporary file and removes its name. The caller, or the end of the process, closes it.
 */
async function openSpool(): Promise<FileHandle> {
  const directory = await mkdtemp(join(tmpdir(), "cm4all-spawn-"));
  try {
    return await openFile(join(directory, "list"), "wx+", 0o600);
  } finally {
    await rm(directory, { recursive: true });
  }
}

/**
 * Writes to stdout, no faster than stdout is read. Stops if stdout cannot be written; the command's
 * top level reports that.
 */
async function print(parts: AsyncIterable<string>): Promise<void> {
  let isWritable = true;
  // `process.stdout.errored` does not show the error: Node resets process.stdout after an error.
  process.stdout.once("error", () => {
    isWritable = false;
  });
  try {
    await pipeline(parts, process.stdout, { end: false });
  } catch (error) {
    if (isWritable) throw error;
  }
}

/** Returns the records with these ids. @throws CommandFailure for an id without a record */
async function findAll(records: AccountingRecords, ids: readonly string[]): Promise<FoundRecord[]> {
  const found = new Map<number, FoundRecord>();
  for (const id of ids) {
    const ofId = await records.find(id);
    if (ofId.length === 0)
      throw new CommandFailure(
        `there is no record ${id}: see "cm4all-spawn accounting list"`,
        EX_DATAERR,
      );
    for (const each of ofId) found.set(each.summary.number, each);
  }
  return [...found.values()];
}

async function retry(
  { records, isRunning }: OpenRecords,
  ids: readonly string[] | "all",
): Promise<void> {
  const later = "will be handed over again when the daemon is running";
  if (ids === "all") {
    const count = await records.retry("all");
    if (count === 0) console.log("no record is parked");
    else if (isRunning) console.log(`${amountIs(count, "record")} handed over again`);
    else console.log(`${amount(count, "record")} ${later}`);
    return;
  }
  const found = await findAll(records, ids);
  const latest = latestReports(found);
  await records.retry(latest.map(({ summary }) => summary.number));
  for (const each of latest)
    console.log(`${isRunning ? "handed over again" : later}: ${formatLine(each)}`);
  for (const each of found.filter((each) => !latest.includes(each)))
    console.log(
      `not handed over, because a later report of the same cgroup includes its figures: ${formatLine(each)}`,
    );
}

/** Returns the latest report of each cgroup: its figures include those of earlier reports. */
function latestReports(found: readonly FoundRecord[]): FoundRecord[] {
  const latest = new Map<string | number, FoundRecord>();
  for (const each of found) {
    const { id, number, report = 0 } = each.summary;
    const key = id ?? number;
    if (report >= (latest.get(key)?.summary.report ?? 0)) latest.set(key, each);
  }
  return [...latest.values()];
}
