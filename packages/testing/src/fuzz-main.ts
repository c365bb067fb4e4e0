/**
 * The program of `npm run fuzz`, into which packages/dev/fuzz.mjs bundles a subject.
 *
 *     node PROGRAM SECONDS FILE [SEED]
 *
 * Each input is written to FILE before it is read.
 */
import { openSync, writeFileSync, writeSync } from "node:fs";
import { FuzzFinding, fuzz, type Subject } from "./fuzz.ts";

/**
 * Gives inputs to a subject for the time in the arguments, and exits. Writes each input to a file
 * before the subject reads it.
 */
export async function runSubject(subject: Subject): Promise<void> {
  const [seconds = "60", file = "", seed = String(Date.now() % 2 ** 31)] = process.argv.slice(2);
  const fd = openSync(file, "w");
  const header = Buffer.alloc(4);
  const onInput = (input: Buffer) => {
    header.writeUInt32LE(input.length);
    writeSync(fd, Buffer.concat([header, input]), 0, header.length + input.length, 0);
  };
  try {
    const until = { seconds: Number(seconds) };
    const count = await fuzz(subject, { seed: Number(seed), until, onInput });
    const memoryMiB = Math.round(process.resourceUsage().maxRSS / 1024);
    console.log(`${subject.name}: ${count} inputs, nothing found (${memoryMiB} MiB, seed ${seed})`);
    process.exit(0);
  } catch (error) {
    if (!(error instanceof FuzzFinding)) throw error;
    writeFileSync(`${file}.finding`, error.input);
    console.error(`${subject.name}: ${error.message}`);
    console.error(`${file}.finding: ${JSON.stringify(error.input.toString("latin1"))}`);
    process.exit(1);
  }
}
