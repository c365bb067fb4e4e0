/** `npm run bench`, or some subjects alone: `npm run bench -- reaper`. */
import { errorText } from "@cm4all/linux";
import { measureFleet } from "./fleet.ts";
import { FLEET_CLIENT, runFleetClient } from "./fleet-client.ts";
import { measureHostile } from "./hostile.ts";
import { measureNamespaces } from "./namespaces.ts";
import { measureProcessScan } from "./process-scan.ts";
import { measureReaper } from "./reaper.ts";

const SUBJECTS: Record<string, () => Promise<void>> = {
  namespaces: measureNamespaces,
  hostile: measureHostile,
  reaper: measureReaper,
  fleet: measureFleet,
  scan: measureProcessScan,
};

/** Not `scan`, which starts 20,000 processes. */
const USUAL = ["namespaces", "hostile", "reaper", "fleet"];

/** What other packages measure, of whose names this one is told, too. */
const ELSEWHERE = ["netns"];

async function main(names: readonly string[]): Promise<void> {
  const [first, hosts = ""] = names;
  if (first === FLEET_CLIENT) return await runFleetClient(JSON.parse(hosts));
  const known = Object.keys(SUBJECTS).join(", ");
  for (const name of names.length === 0 ? USUAL : names) {
    if (ELSEWHERE.includes(name)) continue;
    const measure = SUBJECTS[name];
    if (measure === undefined) throw new Error(`${name} is not measured; choose of ${known}`);
    console.log(`\n${name}`);
    await measure();
  }
}

main(process.argv.slice(2)).then(
  () => process.exit(0),
  (error) => {
    console.error(errorText(error));
    process.exit(1);
  },
);
