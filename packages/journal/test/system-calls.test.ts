/**
 * Tests the journal on a real disk while its system calls for writing fail, or its process is
 * killed in one of them. `npm run torture` tries each call of a process, `npm test` only a sample.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { missing } from "@cm4all/testing";
import { afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { RecordState } from "../src/index.ts";

const PROGRAM = join(import.meta.dirname, "../dist/test/life.js");
const RECORDS = 16;

const isTorture = process.env["TORTURE"] === "all";

/** Every STEP-th call is tried. */
const STEP = isTorture ? 1 : 13;

/** For each call, the faults that only `npm run torture` tries, in addition to FAULTS. */
const CALLS = {
  pwrite64: ["EDQUOT"],
  fdatasync: [],
  fsync: ["EDQUOT"],
  rename: ["EROFS"],
  unlink: ["EROFS"],
  openat: ["EMFILE", "EROFS"],
};
/** A kill, a faulty disk and a full disk. */
const FAULTS = ["signal=KILL", "error=EIO", "error=ENOSPC"];

interface Life {
  /** The states of the records that were found, by name. */
  readonly found: ReadonlyMap<string, number>;
  /** The states that each record may have, by name; undefined stands for a missing record. */
  readonly possible: ReadonlyMap<string, readonly (number | undefined)[]>;
  readonly isWhole: boolean;
  readonly wasHit: boolean;
}

describe.skipIf(missing("strace") !== undefined)("a journal loses nothing after a fault in", () => {
  beforeAll(() => {
    execFileSync("node", [join(import.meta.dirname, "build.mjs")], {
      cwd: join(import.meta.dirname, ".."),
      stdio: "inherit",
    });
  });
  let directory: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "journal-"));
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  /** @param injection the fault, as for the option inject of strace(1) */
  function live(prefix: string, count: number, injection?: string): Life {
    const trace = join(directory, "trace");
    const strace = ["strace", "-f", "-qq", "-o", trace, "-e", `inject=${injection}`];
    const command = [process.execPath, PROGRAM, join(directory, "journal"), prefix, String(count)];
    const [program = "", ...args] = injection === undefined ? command : [...strace, ...command];
    const { stdout, stderr, error } = spawnSync(program, args, {
      encoding: "utf8",
      // strace counts the calls of each thread separately, so one thread makes all of them.
      env: { ...process.env, UV_THREADPOOL_SIZE: "1" },
    });
    if (error !== undefined) throw error;
    // Node itself may fail to start and report that. A failed assertion is always a defect.
    expect(stderr).not.toContain("AssertionError");
    const hit = injection === undefined ? "" : readFileSync(trace, "utf8");
    return { ...parse(stdout), wasHit: /INJECTED|killed by SIGKILL/.test(hit) };
  }

  for (const [call, errors] of Object.entries(CALLS))
    for (const fault of [
      ...FAULTS,
      ...(isTorture ? errors.map((error) => `error=${error}`) : []),
    ]) {
      it(`${call}: ${fault}`, { timeout: 1_200_000 }, () => {
        let hits = 0;
        for (let n = 1; ; n += STEP) {
          rmSync(join(directory, "journal"), { recursive: true, force: true });
          const first = live("a", RECORDS);
          expect(first.isWhole).toBe(true);
          const second = live("b", RECORDS, `${call}:${fault}:when=${n}`);
          const third = live("c", 0);
          check(first, second, third);
          if (!second.wasHit) break;
          hits++;
        }
        expect(hits).toBeGreaterThan(0);
      });
    }
});

/** Parses what a process has printed about its records. */
function parse(stdout: string): Omit<Life, "wasHit"> {
  const found = new Map<string, number>();
  const possible = new Map<string, readonly (number | undefined)[]>();
  const lines = stdout.split("\n");
  for (const line of lines) {
    const [word, name = "", state] = line.split(" ");
    const before = possible.get(name) ?? [];
    if (word === "found") {
      // A record that is there twice would be booked twice.
      expect(found.has(name), `${name} is there twice`).toBe(false);
      found.set(name, Number(state));
    } else if (word === "append") possible.set(name, [undefined, RecordState.WAITING]);
    else if (word === "refused") possible.set(name, [undefined]);
    else if (word === "appended") possible.set(name, [RecordState.WAITING]);
    else if (word === "mark") possible.set(name, [...before, ...statesOf(state)]);
    else if (word === "marked") possible.set(name, statesOf(state));
  }
  return { found, possible, isWhole: lines.includes("end") };
}

/** A record that is gone is not found. */
const statesOf = (state: string | undefined) =>
  Number(state) === RecordState.GONE ? [undefined] : [Number(state)];

function check(first: Life, second: Life, third: Life): void {
  for (const [name, states] of [...first.possible, ...second.possible])
    expect(states, name).toContain(third.found.get(name));
  for (const name of third.found.keys())
    expect(first.possible.has(name) || second.possible.has(name), name).toBe(true);
}
