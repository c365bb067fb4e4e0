/**
 * `npm run zones -- [TIMES [FIRST]]`: local time in every zone of the system, in LuaJIT and
 * here, from the zone with this number on. LUAJIT may name the interpreter.
 */
import { compareZones, systemZones } from "./zones.ts";

/** Zones for each process of LuaJIT, and the seed of the first one. */
const BATCH = 50;

const [times = "1000", first = "0"] = process.argv.slice(2);
const zones = systemZones();
let compared = 0;
let differing = 0;
for (let i = Number(first); i < zones.length; i += BATCH) {
  const batch = zones.slice(i, i + BATCH);
  for (const difference of compareZones(batch, Number(times), i)) {
    differing++;
    console.log(difference);
  }
  compared += batch.length;
}
console.log(`${compared - differing} of ${compared} zones are the same at ${times} times each`);
if (differing > 0) process.exitCode = 1;
