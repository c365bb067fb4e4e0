/**
 * `npm run zones -- [TIMES [FIRST]]`: compares local time in LuaJIT and in our interpreter, at
 * TIMES random times in every time zone of the system, starting with zone number FIRST. The
 * environment variable LUAJIT may name LuaJIT's executable.
 */
import { compareZones, systemZones } from "./zones.ts";

/** The number of zones that one LuaJIT process handles. */
const BATCH = 50;

const [times = "1000", first = "0"] = process.argv.slice(2);
const zones = systemZones();
let compared = 0;
let differing = 0;
for (let i = Number(first); i < zones.length; i += BATCH) {
  const batch = zones.slice(i, i + BATCH);
  // The seed is the number of the batch's first zone: with that number as FIRST, the command
  // repeats the times of the batch.
  for (const difference of compareZones(batch, Number(times), i)) {
    differing++;
    console.log(difference);
  }
  compared += batch.length;
}
console.log(`${compared - differing} of ${compared} zones are the same at ${times} times each`);
if (differing > 0) process.exitCode = 1;
