/**
 * `npm run fuzz -- lua SECONDS [SEED]`: compares the results of random expressions in LuaJIT and
 * in our interpreter. The environment variable LUAJIT may name LuaJIT's executable.
 */
import { compareCases } from "./compare.ts";

const CASES = 2000;

const [seconds = "60", seed = "1"] = process.argv.slice(2);
expressions(Number(seconds), Number(seed));

function expressions(seconds: number, firstSeed: number): void {
  const end = performance.now() + seconds * 1000;
  const kinds = new Map<string, { count: number; differing: number; examples: string[] }>();
  let seed = firstSeed;
  do {
    for (const { kind, line, luajit, ours } of compareCases(CASES, seed)) {
      const tally = kinds.get(kind) ?? { count: 0, differing: 0, examples: [] };
      kinds.set(kind, tally);
      tally.count++;
      if (luajit === ours) continue;
      tally.differing++;
      if (tally.examples.length < 5)
        tally.examples.push(`${line}\n    LuaJIT ${luajit}\n    ours   ${ours}`);
    }
    seed++;
  } while (performance.now() < end);
  let count = 0;
  let differing = 0;
  for (const [kind, tally] of kinds) {
    count += tally.count;
    differing += tally.differing;
    console.log(`${kind}: ${tally.count - tally.differing} of ${tally.count} are the same`);
    for (const example of tally.examples) console.log(`  ${example}`);
  }
  const percent = (100 * (count - differing)) / count;
  console.log(
    `seeds ${firstSeed} to ${seed - 1}: ${percent.toFixed(2)} % of ${count} are the same`,
  );
}
