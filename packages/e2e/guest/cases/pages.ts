/**
 * Runs the commands of README, of the other documents and of the manual pages, in order. The pages
 * are those that the packages have installed. README's commands lead to a first bill, so a reader
 * who has only the packages and README gets that far.
 */
import assert from "node:assert/strict";
import type { Snippet } from "@cm4all/testing/snippets";
import type { Case } from "../case.ts";
import { readManuals, readTexts, runSnippet, standIn } from "../tools/pages.ts";
import { forgetDatabase, startPostgres, stopPostgres } from "../tools/postgres.ts";
import { attempt, waitFor } from "../tools/shell.ts";
import { NAME, SCRIPT, type Surroundings, surroundingsOf } from "../tools/surroundings.ts";
import { SERVICE } from "../tools/systemd.ts";

type Values = Readonly<Record<string, string>>;

/** Runs a snippet. @returns the problem; undefined if there is none */
async function tryIn(
  { before, after, prints, isAwaited, ...reader }: Surroundings,
  snippet: Snippet,
  values: Values,
  slowness: number,
): Promise<string | undefined> {
  const run = () => {
    const { problem, printed } = runSnippet(snippet, values, reader);
    if (problem !== undefined) return problem;
    return prints?.test(printed) === false ? `did not print ${prints}` : undefined;
  };
  let problem: string | undefined;
  try {
    await before?.(snippet);
    if (isAwaited === true)
      await waitFor("the snippet shows its result", 30_000 * slowness, () => run() === undefined);
    else problem = run();
  } catch (error) {
    problem = String(error);
  }
  try {
    after?.();
  } catch (error) {
    problem ??= String(error);
  }
  return problem;
}

export const pages: Case = {
  title: "commands of README and manual pages work as they stand, from installation to a bill",
  async run({ slowness, hasControllers, note }) {
    const texts = readTexts();
    const values: Record<string, string> = { NAME };
    const surroundings = Object.entries(
      surroundingsOf(texts, values, { slowness, hasControllers }),
    );
    const used = new Set<string>();
    const problems: string[] = [];
    let count = 0;
    let notRun = 0;
    await startPostgres(slowness);
    try {
      for (const { name, snippets } of [...texts, ...readManuals()]) {
        standIn("/root");
        for (const snippet of snippets) {
          if (snippet.language !== "sh" || snippet.testedBy !== undefined) continue;
          if (snippet.notRun !== undefined) {
            notRun++;
            continue;
          }
          const [key = "", around = {}] =
            surroundings.find(([first]) => snippet.text.startsWith(first)) ?? [];
          used.add(key);
          count++;
          const problem = await tryIn(around, snippet, values, slowness);
          if (problem !== undefined) problems.push(`${name}:${snippet.line}: ${problem}`);
        }
      }
    } finally {
      attempt(`rm -f ${SCRIPT}; systemctl restart ${SERVICE}; userdel fleet-daily`);
      forgetDatabase();
      stopPostgres();
    }
    assert.deepEqual(problems, []);
    const unused = surroundings.map(([first]) => first).filter((first) => !used.has(first));
    assert.deepEqual(unused, []);
    note(`${count} snippets run, ${notRun} not, for the reasons beside them`);
    assert.ok(count > 20, `${count} snippets were found`);
  },
};
