/** Runs the fuzz subjects of a package briefly, as tests: `@cm4all/testing/fuzz-test`. */
import { expect, it } from "vitest";
import { FuzzFinding, fuzz, readCorpus, type Subject } from "./fuzz.ts";

const RUNS = 400;
const SEED = 20261126;

/** Defines a test for each subject. */
export function testSubjects(...subjects: readonly Subject[]): void {
  it.each(subjects)("reads whatever comes: $name", async (subject) => {
    expect(readCorpus(subject).length).toBeGreaterThan(0);
    try {
      await fuzz(subject, { seed: SEED, until: { runs: RUNS } });
    } catch (error) {
      if (!(error instanceof FuzzFinding)) throw error;
      throw new Error(`${JSON.stringify(error.input.toString("latin1"))}: ${error.message}`, {
        cause: error,
      });
    }
  });
}
