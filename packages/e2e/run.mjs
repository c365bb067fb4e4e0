// @ts-check
/** `npm run e2e`; options.mjs has its command line. */
import { commandLine, errorText, fail } from "../dev/setup.mjs";
import { commandsOf, places } from "./bare/places.mjs";
import { printTotal, runPlaces } from "./bare/run.mjs";
import { builtPackages, prepareBoot, runCases } from "./host/boot.mjs";
import { ours } from "./host/image.mjs";
import { readOptions } from "./options.mjs";

const { values, positionals } = commandLine(() => readOptions(process.argv.slice(2)));
if (process.getuid?.() !== 0)
  fail("npm run e2e needs root: it makes machines. Try: sudo npm run e2e");
try {
  const isWell = await (values.bare === undefined ? runBooted() : runBare(values.bare));
  process.exit(isWell ? 0 : 1);
} catch (error) {
  fail(errorText(error));
}

async function runBooted() {
  /** @type {("container" | "vm")[]} */
  const machines = [];
  const { arch: architecture = ours(), suite } = values;
  const isOurs = architecture === ours();
  if (values.container || (!values.vm && isOurs)) machines.push("container");
  if (values.vm || !values.container) machines.push("vm");
  const packages = values.packages ?? builtPackages;
  prepareBoot(architecture, values["keep-packages"] || values.packages !== undefined);
  let isWell = true;
  for (const machine of machines) {
    const only = positionals;
    const result = await runCases({ machine, suite, architecture, packages, only });
    isWell = result?.failed === 0 && isWell;
  }
  return isWell;
}

/** @param {string} suite */
async function runBare(suite) {
  const names = positionals.length > 0 ? positionals : Object.keys(places);
  const plan = names.map((name) => ({
    name,
    commands: values.commands?.split(",") ?? commandsOf(name),
  }));
  return printTotal(await runPlaces({ suite, node: values.node }, plan));
}
