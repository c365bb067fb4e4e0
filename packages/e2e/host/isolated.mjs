// @ts-check
/** Runs a script with mounts and cgroups of its own, and leaves nothing behind. */
import { spawn } from "node:child_process";
import { mkdirSync, openSync, readdirSync, readFileSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

/**
 * Runs a script, and waits until it has ended.
 * @param {object} options
 * @param {string[]} options.command the script and its arguments
 * @param {string} options.console   a file for its output
 * @param {AbortSignal} options.signal kills the script and everything that it has started
 * @param {NodeJS.ProcessEnv} [options.env]
 * @throws Error if its exit status is not 0
 */
export async function runIsolated({ command, console, signal, env = process.env }) {
  const cgroups = makeCgroups(`cm4all-e2e-${process.pid}`);
  const output = openSync(console, "a");
  // The shell enters its cgroups before anything else, so that everything it starts stays in
  // them.
  const enter = cgroups.map((cgroup) => `echo $$ >${cgroup}/cgroup.procs`).join("; ");
  const child = spawn("bash", ["-c", `${enter}; exec unshare --mount "$@"`, "e2e", ...command], {
    stdio: ["ignore", output, output],
    detached: true,
    env,
  });
  const kill = () => cgroups.forEach(killBelow);
  signal.addEventListener("abort", kill);
  try {
    const status = await new Promise((resolve, reject) => {
      child.once("error", reject);
      child.once("exit", (code, signal) => resolve(code ?? signal));
    });
    if (status !== 0) throw new Error(`the machine ended with ${status}; see ${console}`);
  } finally {
    signal.removeEventListener("abort", kill);
    for (const cgroup of cgroups) await removeCgroup(cgroup);
  }
}

/** Makes a cgroup in each hierarchy that systemd uses. @param {string} name */
function makeCgroups(name) {
  const mounts = readFileSync("/proc/self/mounts", "utf8").split("\n");
  const points = mounts.flatMap((line) => {
    const [, point = "", type, options = ""] = line.split(" ");
    const isSystemd = type === "cgroup2" || (type === "cgroup" && options.includes("name=systemd"));
    return isSystemd ? [point] : [];
  });
  return [...new Set(points)].map((point) => {
    mkdirSync(join(point, name));
    return join(point, name);
  });
}

/**
 * Returns a cgroup and all cgroups below it. Their names are bytes, and latin1 has a character for
 * each byte.
 * @param {string} directory @returns {string[]} deepest first, in latin1
 */
function below(directory) {
  const options = /** @type {const} */ ({ withFileTypes: true, encoding: "latin1" });
  const entries = ifThere(() => readdirSync(bytes(directory), options)) ?? [];
  const children = entries.filter((entry) => entry.isDirectory());
  return [...children.flatMap(({ name }) => below(`${directory}/${name}`)), directory];
}

/** @param {string} path in latin1 */
const bytes = (path) => Buffer.from(path, "latin1");

/**
 * Kills all processes in a cgroup and below it, some of which may remove cgroups meanwhile.
 * @param {string} cgroup
 */
function killBelow(cgroup) {
  for (const directory of below(cgroup)) {
    const pids = ifThere(() => readFileSync(bytes(`${directory}/cgroup.procs`), "utf8")) ?? "";
    for (const pid of pids.split("\n")) if (pid !== "") tryKill(Number(pid));
  }
}

/**
 * Returns what `read` returns; undefined if the cgroup that it reads has been removed.
 * @template T @param {() => T} read @returns {T | undefined}
 */
function ifThere(read) {
  try {
    return read();
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code === "ENOENT" || code === "ENODEV") return undefined;
    throw error;
  }
}

/** Ends the processes in a cgroup, and removes the cgroup when they have ended. @param {string} cgroup */
async function removeCgroup(cgroup) {
  for (let attempt = 0; ; attempt++) {
    try {
      killBelow(cgroup);
      for (const directory of below(cgroup)) rmdirSync(bytes(directory));
      return;
    } catch (error) {
      // Processes are still ending (EBUSY), or one of them has just removed a cgroup itself.
      const code = error instanceof Error && "code" in error ? error.code : undefined;
      if (!(code === "EBUSY" || code === "ENOENT" || code === "ENODEV") || attempt === 100)
        throw error;
    }
    await sleep(50);
  }
}

/** @param {number} pid of a process that may have ended */
function tryKill(pid) {
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ESRCH")) throw error;
  }
}
