// @ts-check
/**
 * The set-up that `npm start` and `npm test` share: Debian packages, pnpm at its pinned version,
 * dependencies. It runs on a bare checkout, so it imports no dependencies.
 */
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { architectures } from "./architecture.mjs";
import { findCompiler, NO_COMPILER } from "./compiler.mjs";

export const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

/** Returns the text for an error, or for any other value that was thrown. @param {unknown} error */
export function errorText(error) {
  return error instanceof Error ? error.message : String(error);
}

/** The exit status after a wrong command line, as in sysexits.h. */
export const EX_USAGE = 64;

/**
 * Prints the reason in one line and ends the program.
 * @param {string} message @param {number} [status] the exit status @returns {never}
 */
export function fail(message, status = 1) {
  console.error(message);
  process.exit(status);
}

/**
 * Returns the result of `read`, which parses the command line. If the command line is wrong,
 * `read` throws, and the program ends with EX_USAGE.
 * @template T @param {() => T} read @returns {T}
 */
export function commandLine(read) {
  try {
    return read();
  } catch (error) {
    const [line = ""] = errorText(error).split("\n", 1);
    return fail(line, EX_USAGE);
  }
}

/**
 * Runs a program on our terminal. If it fails, ends this program, too.
 * @param {string} program @param {string[]} args @param {NodeJS.ProcessEnv} [env]
 */
export function run(program, args, env = process.env) {
  const result = spawnSync(program, args, { cwd: root, env, stdio: "inherit" });
  if (result.error) fail(`${program}: ${result.error.message}`);
  if (result.signal) fail(`${program} was ended by ${result.signal}`);
  if (result.status !== 0) process.exit(result.status ?? 1);
}

/** @param {string} name */
function isInstalled(name) {
  const result = spawnSync("dpkg-query", ["-W", "-f", "${db:Status-Status}", name], {
    encoding: "utf8",
  });
  return result.status === 0 && result.stdout === "installed";
}

/** Returns whether apt has fetched a package index since the system was installed. */
function hasIndex() {
  return readdirSync("/var/lib/apt/lists").some((name) => name.includes("_Packages"));
}

/**
 * Installs those of the Debian packages that are missing. Without root, or on a system that is not
 * Debian, only prints their names, and ends the program. None of the packages starts a daemon when
 * it is installed.
 * @param {string[]} names
 */
export function installDebianPackages(names) {
  const missing = names.filter((name) => !isInstalled(name));
  if (missing.length === 0) return;
  if (!existsSync("/etc/debian_version") || process.getuid?.() !== 0)
    fail(`Please install these Debian packages first: ${missing.join(" ")}`);
  console.log(`Installing Debian packages: ${missing.join(" ")}`);
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  const apt = ["-q", "-o", "DPkg::Lock::Timeout=300"];
  const install = [...apt, "install", "-y", "--no-install-recommends", ...missing];
  // The first attempt fails if the index is out of date.
  if (hasIndex() && spawnSync("apt-get", install, { env, stdio: "inherit" }).status === 0) return;
  run("apt-get", [...apt, "update"], env);
  run("apt-get", install, env);
}

/** Runs pnpm, at the version that package.json pins. @param {string[]} args arguments for pnpm */
export function pnpm(args) {
  const { packageManager } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  // A version of pnpm that was fetched before is used again, without a look at the registry.
  run("npx", ["--yes", "--prefer-offline", packageManager, ...args], {
    ...process.env,
    CI: process.env["CI"] ?? "true",
  });
}

/** Installs the npm packages at the versions of the lockfile. */
export function installDependencies() {
  const cpus = architectures().map((architecture) => `--cpu=${architecture}`);
  const options = ["--frozen-lockfile", "--prefer-offline", "--reporter=append-only"];
  pnpm(["install", ...options, ...(cpus.length > 1 ? cpus : [])]);
}

/**
 * Runs turbo, which looks for pnpm on the PATH, where `pnpm exec` puts it. The variable
 * CM4ALL_COMPILER is for turbo.json: the cached results of a build are valid for one compiler only.
 * @param {string[]} args arguments for turbo
 */
export function turbo(args) {
  process.env["TURBO_TELEMETRY_DISABLED"] = "1";
  const compiler = findCompiler();
  if (compiler === undefined) console.log(NO_COMPILER);
  process.env["CM4ALL_COMPILER"] = compiler?.version ?? "none";
  pnpm(["exec", "turbo", ...args]);
}
