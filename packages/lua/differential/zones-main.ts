/**
 * `npm run zones -- [TIMES [FIRST]]`: compares local time in LuaJIT and in our interpreter, at
 * TIMES random times in every zone of the system, from the zone with the number FIRST on. The
 * environment variable LUAJIT may name LuaJIT's executable.
 */
import { compareZones, systemZones } from "./zones.ts";

/** The number of zones for each process of LuaJIT. */
const BATCH = 50;

const [times = "1000", first = "0"] = process.argv.slice(2);
const zones = systemZones();
let compared = 0;
let differing = 0;
for (let i = Number(first); i < zones.length; i += BATCH) {
  const batch = zones.slice(i, i + BATCH);
  // The number of the first zone is the seed, so that FIRST repeats the times of a batch.
  for (const difference of compareZones(batch, Number(times), i)) {
    differing++;
    console.log(difference);
  }
  compared += batch.length;
}
console.log(`${compared - differing} of ${compared} zones are the same at ${times} times each`);
if (differing > 0) process.exitCode = 1;
