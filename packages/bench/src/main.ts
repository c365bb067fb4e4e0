/**
 * `npm run bench`, or for some subjects only: `npm run bench -- reaper`. For some attacks only:
 * `npm run bench -- hostile --only "connect, ask"`.
 */
import { parseArgs } from "node:util";
import { errorText } from "@cm4all/linux";
import { measureStartAndMemory } from "./daemon.ts";
import { measureFlatness } from "./flatness.ts";
import { measureFleet } from "./fleet.ts";
import { FLEET_CLIENT, runFleetClient } from "./fleet-client.ts";
import { printGoals } from "./goals.ts";
import { measureHostile } from "./hostile.ts";
import { measureNamespaces } from "./namespaces.ts";
import { measureNetns, measureNetnsInside, NETNS_INSIDE } from "./netns.ts";
import { measureProcessScan } from "./process-scan.ts";
import { measureReaper } from "./reaper.ts";

const SUBJECTS: Record<string, (only?: string) => Promise<void>> = {
  daemon: measureStartAndMemory,
  namespaces: measureNamespaces,
  hostile: measureHostile,
  reaper: measureReaper,
  fleet: measureFleet,
  flatness: measureFlatness,
  netns: measureNetns,
  scan: measureProcessScan,
};

/** The default subjects; without `scan`, which starts 20,000 processes. */
const USUAL = ["daemon", "namespaces", "reaper", "flatness", "fleet", "hostile", "netns"];

const USAGE = `Usage: npm run bench -- [--only TEXT] [SUBJECT...]

Measures the subjects ${Object.keys(SUBJECTS).join(", ")};
without a subject all but scan. docs/performance.md explains them.

  --only TEXT   of the attacks of hostile, only those whose titles contain this
  --help        show this text`;

async function main(): Promise<void> {
  const { positionals: names, values } = parseArgs({
    allowPositionals: true,
    options: { only: { type: "string" }, help: { type: "boolean" } },
  });
  if (values.help === true) {
    console.log(USAGE);
    return;
  }
  const [first, hosts = ""] = names;
  if (first === FLEET_CLIENT) return await runFleetClient(JSON.parse(hosts));
  if (first === NETNS_INSIDE) return await measureNetnsInside();
  const known = Object.keys(SUBJECTS).join(", ");
  for (const name of names.length === 0 ? USUAL : names) {
    const measure = SUBJECTS[name];
    if (measure === undefined) throw new Error(`${name} is not measured; choose of ${known}`);
    console.log(`\n${name}`);
    await measure(values.only);
  }
  printGoals();
}

main().then(
  () => process.exit(0),
  (error) => {
    console.error(errorText(error));
    process.exit(1);
  },
);
