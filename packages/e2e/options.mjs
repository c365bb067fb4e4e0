// @ts-check
/**
 * `npm run e2e [-- --container] [--vm] [--suite NAME] [--keep-packages] [CASE...]`: builds the
 * packages and the images, boots the images, and runs the cases of guest/cases. `--keep-packages`
 * uses the packages of an earlier run, if there are any; `--packages DIR` uses those in DIR;
 * `--arch arm64` uses an arm64 virtual machine.
 *
 * `npm run e2e -- --bare trixie|bookworm [--node 20|22|24|26] [--commands LIST] [PLACE...]`: runs
 * the commands of README on bare machines; bare/places.mjs has the places and their commands.
 */
import { readdirSync } from "node:fs";
import { parseArgs } from "node:util";
import { places } from "./bare/places.mjs";

const SUITES = ["trixie", "bookworm"];

/** The values that options accept, for the options that accept only some values. */
const CHOICES = {
  suite: SUITES,
  bare: SUITES,
  node: ["debian", "20", "22", "24", "26"],
  arch: ["amd64", "arm64"],
};

/** The commands of bare/newcomer.mjs. */
const COMMANDS = ["start", "test", "offline", "offline-test", "deb", "cross", "odd"];

const caseNames = () =>
  readdirSync(new URL("guest/cases", import.meta.url))
    .map((file) => file.replace(/\.ts$/, ""))
    .filter((name) => name !== "index");

/**
 * @param {string} what a kind of thing, for the message @param {readonly string[]} names
 * @param {readonly string[]} known
 */
function check(what, names, known) {
  for (const name of names)
    if (!known.includes(name)) throw new Error(`no ${what} ${name}; there are ${known.join(", ")}`);
}

/**
 * Returns the options, and the names of cases or places.
 * @param {string[]} args
 * @throws Error if an option, its value, a case or a place does not exist
 */
export function readOptions(args) {
  const options = parseOptions(args);
  const { values, positionals } = options;
  for (const name of /** @type {const} */ (["suite", "bare", "node", "arch"])) {
    const value = values[name];
    if (value !== undefined) check(`--${name}`, [value], CHOICES[name]);
  }
  check("command", values.commands?.split(",") ?? [], COMMANDS);
  if (values.bare === undefined) check("case", positionals, caseNames());
  else check("place", positionals, Object.keys(places));
  return options;
}

/** @param {string[]} args */
function parseOptions(args) {
  return parseArgs({
    args,
    allowPositionals: true,
    options: {
      container: { type: "boolean", default: false },
      vm: { type: "boolean", default: false },
      suite: { type: "string", default: "trixie" },
      "keep-packages": { type: "boolean", default: false },
      arch: { type: "string" },
      packages: { type: "string" },
      bare: { type: "string" },
      node: { type: "string", default: "debian" },
      commands: { type: "string" },
    },
  });
}
