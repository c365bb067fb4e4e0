// @ts-check
/**
 * Does on a bare machine what README says, as a newcomer does, and notes how it went in
 * /e2e/out/steps.json. Runs with that machine's Node, and with nothing but Node.
 */
import { spawn, spawnSync } from "node:child_process";
import {
  createWriteStream,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

const OUTPUT = "/e2e/out";
/** The last words of `npm start` before it waits. */
const AT_WORK = "The daemon runs until Ctrl-C";

/** @typedef {import("./places.mjs").Place} Place */
/** @typedef {{ name: string, seconds: number, failure?: string }} Step */

/** @type {{ place: Place, commands: string[], limitSeconds: number }} */
const { place, commands, limitSeconds } = JSON.parse(readFileSync("/e2e/in/plan.json", "utf8"));
const directory = place.link ?? place.directory;
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

/**
 * Starts a command line of a shell in the checkout, in a process group of its own, as a
 * terminal has it.
 * @param {string} line @param {string} log a file's name
 */
function start(line, log) {
  const child = spawn("sh", ["-c", `cd '${directory}' && exec ${line}`], {
    stdio: ["ignore", "pipe", "pipe"],
    detached: true,
    env: { ...process.env, NO_COLOR: "1" },
  });
  const file = createWriteStream(`${OUTPUT}/${log}`);
  const running = {
    output: "",
    /** @type {Promise<number | string>} */
    ended: new Promise((resolve) =>
      child.once("close", (code, signal) => resolve(code ?? signal ?? "unknown")),
    ),
    hasEnded: false,
    pid: child.pid,
    /** To all of the group, as Ctrl-C does. @param {NodeJS.Signals} signal */
    kill(signal) {
      if (child.pid !== undefined) process.kill(-child.pid, signal);
    },
  };
  child.once("close", () => {
    running.hasEnded = true;
  });
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (text) => {
      running.output = (running.output + text).slice(-100_000);
      file.write(text);
    });
  return running;
}

/** @param {string} line @param {string} log */
async function runToEnd(line, log) {
  const running = start(line, log);
  const timer = setTimeout(() => running.kill("SIGKILL"), limitSeconds * 1000);
  const status = await running.ended;
  clearTimeout(timer);
  if (status !== 0) throw new Error(`ended with ${status}: ${lastLines(running.output)}`);
}

/** @param {string} text */
const lastLines = (text) => text.trimEnd().split("\n").slice(-6).join("\n");

/** Our own process, that of this machine, and those of the kernel are no leftovers. */
function processes() {
  return readdirSync("/proc").filter((name) => /^\d+$/.test(name)).length;
}

/** `npm start` to its table, a request from another terminal, Ctrl-C. @param {string} line @param {string} log */
async function tryStart(line, log) {
  const before = processes();
  const running = start(line, log);
  const deadline = Date.now() + 300_000;
  while (!running.output.includes(AT_WORK)) {
    if (running.hasEnded)
      throw new Error(`ended with ${await running.ended}: ${lastLines(running.output)}`);
    if (Date.now() > deadline) {
      running.kill("SIGKILL");
      throw new Error(`not at work: ${lastLines(running.output)}`);
    }
    await delay(100);
  }
  try {
    if (!/^ {2}cgroup .*\n(?:.*\n)*? {2}shop /m.test(running.output))
      throw new Error("it prints no table");
    const client = "packages/client/dist/cm4all-spawn-client.js";
    const run = `node ${client} run foo --ipc --pid -- sh -c 'echo "I am $$"'`;
    const network = ["nsenter", `--net=/proc/${running.pid}/ns/net`];
    const [program = "", ...args] = [...network, "sh", "-c", `cd '${directory}' && ${run}`];
    const { stdout, stderr } = spawnSync(program, args, { encoding: "utf8" });
    if (!/^I am \d\n$/.test(stdout)) throw new Error(`the client printed ${stdout}${stderr}`);
  } finally {
    running.kill("SIGINT");
  }
  const status = await Promise.race([running.ended, delay(30_000, "nothing")]);
  // npm's own exit status after Ctrl-C depends on its version.
  if (![0, 130, "SIGINT"].includes(status)) throw new Error(`after Ctrl-C it ended with ${status}`);
  const end = Date.now() + 10_000;
  while (processes() > before && Date.now() < end) await delay(100);
  if (processes() > before) throw new Error(`${processes() - before} processes are left`);
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
}

/** @type {Record<string, () => Promise<void>>} */
const known = {
  start: () => tryStart("npm start", "start.log"),
  test: () => runToEnd("npm test", "test.log"),
  deb: () => runToEnd("sh -c 'npm run deb && ls packages/deb/dist/*.deb'", "deb.log"),
  // For the virtual machine of that architecture.
  cross: () =>
    runToEnd(
      "sh -c 'dpkg --add-architecture arm64 && apt-get -q update && " +
        `npm run deb -- --host-arch arm64 && cp packages/deb/dist/*.deb ${OUTPUT}'`,
      "cross.log",
    ),
  // The second start has to do with what the first has left.
  offline: () => tryStart("unshare --net npm start", "offline.log"),
};

await step("prepare", prepare);
if (steps[0]?.failure === undefined)
  for (const name of commands) {
    const work = known[name];
    if (work !== undefined) await step(name, work);
  }
rmSync(directory, { recursive: true, force: true });
