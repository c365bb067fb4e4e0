/**
 * The program of `npm run bench`. With arguments, it measures only some subjects, as in
 * `npm run bench -- reaper`, or only some attacks, as in
 * `npm run bench -- hostile --only "connect, ask"`.
 */
import { constants } from "node:os";
import { parseArgs } from "node:util";
import { errorText } from "@cm4all/linux";
import { measureStartAndMemory } from "./daemon.ts";
import { measureFlatness } from "./flatness.ts";
import { measureFleet } from "./fleet.ts";
import { FLEET_CLIENT, runFleetClient } from "./fleet-client.ts";
import { printGoals } from "./goals.ts";
import { attacksCalled, attackTitles, measureHostile } from "./hostile.ts";
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

/** The default subjects: all except `scan`, which starts 20,000 processes. */
const USUAL = ["daemon", "namespaces", "reaper", "flatness", "fleet", "hostile", "netns"];

const USAGE = `Usage: npm run bench -- [--only TEXT] [SUBJECT...]

Measures the subjects ${Object.keys(SUBJECTS).join(", ")};
without SUBJECT, all except scan. docs/performance.md explains them.

  --only TEXT   measure only those attacks of hostile whose titles contain TEXT
  --help        show this text`;

/** The exit status after a wrong command line. @see sysexits.h(3head) */
const EX_USAGE = 64;

interface CommandLine {
  readonly subjects: readonly string[];
  /** A part of the titles of the attacks to measure; undefined for all. */
  readonly only: string | undefined;
}

/**
 * Reads the command line.
 * @returns undefined if it asks for help
 * @throws Error if it is wrong, before anything is measured
 */
function readCommandLine(): CommandLine | undefined {
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: { only: { type: "string" }, help: { type: "boolean" } },
  });
  if (values.help === true) return undefined;
  const unknown = positionals.find((name) => !Object.hasOwn(SUBJECTS, name));
  if (unknown !== undefined)
    throw new Error(`${unknown} is not measured; choose from ${Object.keys(SUBJECTS).join(", ")}`);
  const { only } = values;
  if (only !== undefined && attacksCalled(only).length === 0)
    throw new Error(`no attack's title contains ${only}; choose from ${attackTitles().join("; ")}`);
  return { subjects: positionals.length === 0 ? USUAL : positionals, only };
}

/**
 * Does a part of a measurement, if another run of this program has started this process for it.
 * @returns false if the arguments name no such part
 */
async function runInside([what, argument = ""]: readonly string[]): Promise<boolean> {
  if (what === FLEET_CLIENT) await runFleetClient(JSON.parse(argument));
  else if (what === NETNS_INSIDE) await measureNetnsInside();
  else return false;
  return true;
}

async function main(): Promise<void> {
  if (await runInside(process.argv.slice(2))) return;
  let commandLine: CommandLine | undefined;
  try {
    commandLine = readCommandLine();
  } catch (error) {
    console.error(errorText(error).split("\n", 1).join());
    process.exit(EX_USAGE);
  }
  if (commandLine === undefined) {
    console.log(USAGE);
    return;
  }
  for (const name of commandLine.subjects) {
    console.log(`\n${name}`);
    await SUBJECTS[name]?.(commandLine.only);
  }
  printGoals();
}

// A process that is killed by a signal does not call its "exit" listeners, which end the servers.
for (const signal of ["SIGINT", "SIGTERM"] as const)
  process.once(signal, () => process.exit(128 + constants.signals[signal]));

main().then(
  () => process.exit(0),
  (error) => {
    console.error(errorText(error));
    process.exit(1);
  },
);
