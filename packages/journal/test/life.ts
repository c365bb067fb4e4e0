/**
 * A program that opens the journal in a directory, prints the records that it finds, appends and
 * marks records, and prints each confirmation: `life.ts DIRECTORY PREFIX COUNT`. Tests run it
 * under strace, which makes one of its system calls fail, or kills it in that call.
 */
import { writeSync } from "node:fs";
import { DiskDirectory, Journal, JournalClosed, RecordState } from "../src/index.ts";

/** Most records are marked as gone, so that some files are removed and others rewritten. */
const STATES = [
  ...new Array<RecordState>(6).fill(RecordState.GONE),
  RecordState.BEGAN,
  RecordState.GONE,
  RecordState.GONE,
  RecordState.PARKED,
];

const [, , path = "", prefix = "", count = "0"] = process.argv;

/** Prints a line immediately, that is, before the next system call on the journal. */
function say(...words: (string | number)[]): void {
  writeSync(1, `${words.join(" ")}\n`);
}

async function live(): Promise<void> {
  const directory = new DiskDirectory(path);
  await directory.make();
  // The segments are so small that several are begun, rewritten and removed.
  const journal = await Journal.open(directory, {
    limitBytes: 1e9,
    segmentBytes: 300,
    reserveBytes: 600,
  });
  for (const { number, state } of [...journal.records()])
    say("found", (await journal.read(number)).toString(), state);
  say("open");
  const numbers: number[] = [];
  for (let i = 0; i < Number(count); i++) {
    const name = `${prefix}-${i}`;
    say("append", name);
    try {
      numbers.push(await journal.append(Buffer.from(name)));
      say("appended", name);
    } catch (error) {
      if (error instanceof JournalClosed) throw error;
      // The daemon, too, tries the record again.
      say("refused", name);
      i--;
    }
    const done = i - 3;
    const number = numbers[done];
    if (number === undefined || i < done) continue;
    const state = STATES[done % STATES.length];
    if (state === undefined) continue;
    say("mark", `${prefix}-${done}`, state);
    await journal.mark(number, state);
    say("marked", `${prefix}-${done}`, state);
  }
  // The journal removes and rewrites files when there is nothing else to do.
  await journal.settle();
  await journal.close();
  say("end");
}

live().catch((error: unknown) => {
  say("failed", String(error));
  process.exitCode = 1;
});
