// @ts-check
/**
 * On a bare machine, does what README says, as a newcomer would, and writes the results to
 * /e2e/out/steps.json. Needs that machine's Node, and nothing else.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { oddities, tryOddity } from "./odd.mjs";
import { twoCommands } from "./readme.mjs";
import { Terminal } from "./terminal.mjs";

const OUTPUT = "/e2e/out";

/** @typedef {import("./places.mjs").Place} Place */
/** @typedef {{ name: string, seconds: number, failure?: string }} Step */

/** @type {{ place: Place, commands: string[], limitSeconds: number }} */
const { place, commands, limitSeconds } = JSON.parse(readFileSync("/e2e/in/plan.json", "utf8"));
const terminal = new Terminal(place.link ?? place.directory, OUTPUT);
/** @type {Step[]} */
const steps = [];

/** @param {string} program @param {string[]} args */
function must(program, args) {
  const { status, stdout, stderr, error } = spawnSync(program, args, { encoding: "utf8" });
  if (status !== 0)
    throw new Error(`${program} ${args.join(" ")}: ${error?.message ?? stdout + stderr}`);
}

/** @param {string[]} words */
function apt(...words) {
  must("apt-get", ["-q", "-y", "-o", "APT::Install-Recommends=false", ...words]);
}

function prepare() {
  if (place.user === true) must("useradd", ["--system", "cm4all-spawn-reaper"]);
  if (place.gcc === true) {
    apt("update");
    apt("install", "gcc", "libc6-dev");
  }
  mkdirSync(dirname(place.directory), { recursive: true });
  if (place.tarball === true) {
    apt("purge", "git");
    mkdirSync(place.directory);
    must("tar", ["-xzf", "/e2e/in/suite.tar.gz", "-C", place.directory]);
  } else {
    must("git", ["clone", "-q", "/e2e/in/suite.git", place.directory]);
  }
  if (place.link !== undefined) symlinkSync(place.directory, place.link);
}

/** @param {string} name @param {() => Promise<void> | void} work */
async function step(name, work) {
  const startMs = performance.now();
  /** @type {Step} */
  const done = { name, seconds: 0 };
  try {
    await work();
  } catch (error) {
    done.failure = error instanceof Error ? error.message : String(error);
  }
  done.seconds = Math.round((performance.now() - startMs) / 1000);
  steps.push(done);
  writeFileSync(`${OUTPUT}/steps.json`, JSON.stringify(steps));
  return done.failure === undefined;
}

async function tryOddities() {
  const filters = ["start", "netns", "slice"].map((name) => `--filter=./packages/${name}`);
  const build = `npm run build -- ${filters.join(" ")}`;
  if (!(await step("build", () => terminal.mustRun(build, "build.log", limitSeconds)))) return;
  for (const [title, oddity] of Object.entries(oddities))
    await step(title, () => tryOddity(terminal, title, oddity));
}

/** Returns the commands that start the daemon and run the tests, from the checkout's README. */
const readme = () => twoCommands(readFileSync(join(place.directory, "README.md"), "utf8"));

const DEB = "npm run deb && ls packages/deb/dist/*.deb";
const CROSS =
  "dpkg --add-architecture arm64 && apt-get -q update && " +
  `npm run deb -- --host-arch arm64 && cp packages/deb/dist/*.deb ${OUTPUT}`;

/** @type {Record<string, () => Promise<void>>} */
const known = {
  start: async () => terminal.mustStart(readme().start, "start.log"),
  test: async () => terminal.mustRun(readme().test, "test.log", limitSeconds),
  // Without a network, both commands have to work again with what they left behind.
  offline: async () => terminal.mustStart(`unshare --net ${readme().start}`, "offline.log"),
  "offline-test": async () => {
    const line = `unshare --net sh -c 'ip link set lo up && exec ${readme().test}'`;
    await terminal.mustRun(line, "offline-test.log", limitSeconds);
  },
  deb: () => terminal.mustRun(`sh -c '${DEB}'`, "deb.log", limitSeconds),
  // Builds the packages for the arm64 virtual machine.
  cross: () => terminal.mustRun(`sh -c '${CROSS}'`, "cross.log", limitSeconds),
};

if (await step("prepare", prepare))
  for (const name of commands) {
    const work = known[name];
    if (work !== undefined) await step(name, work);
    else if (name === "odd") await tryOddities();
    else await step(name, () => Promise.reject(new Error("unknown command")));
  }
