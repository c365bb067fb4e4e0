// @ts-check
/**
 * Sets a time limit for each command that a test runs with `spawnSync` and similar functions.
 * Such a call blocks the event loop, and with it the time limit of the test: a command that hangs
 * would block the run for ever, and nothing would show which command it is. Vitest loads this file
 * before each test file.
 */
import childProcess from "node:child_process";
import { syncBuiltinESMExports } from "node:module";
import { TestRunner } from "vitest";

/**
 * The share of the test's time limit that a command gets: if the first command of a test hangs, it
 * is ended before the test's own limit has passed, with an error that names the command.
 */
const SHARE = 0.9;
/** The limit outside a test, as in `beforeAll`, in milliseconds: every preparation takes less. */
const PREPARATION_MS = 600_000;

const { spawnSync, execFileSync, execSync } = childProcess;

/** @param {unknown} error */
const isTimeout = (error) =>
  error instanceof Error && "code" in error && error.code === "ETIMEDOUT";

/**
 * Returns the arguments of a call with a time limit added; undefined if they already have one.
 * @param {unknown[]} args
 */
function limited(args) {
  const last = args.at(-1);
  const hasOptions = args.length > 1 && typeof last === "object" && !Array.isArray(last);
  const options = /** @type {childProcess.SpawnSyncOptions} */ (hasOptions ? last : {});
  if (options.timeout !== undefined) return undefined;
  const testMs = TestRunner.getCurrentTest()?.timeout;
  const timeout = testMs ? SHARE * testMs : PREPARATION_MS;
  const limit = { killSignal: "SIGKILL", ...options, timeout };
  return { args: [...(hasOptions ? args.slice(0, -1) : args), limit], timeout };
}

/**
 * @param {unknown[]} args
 * @param {number} timeout
 * @param {{ stdout?: unknown, stderr?: unknown }} said
 * @param {unknown} cause
 */
function hanging([command, words], timeout, { stdout, stderr }, cause) {
  const line = [command, ...(Array.isArray(words) ? words : [])].join(" ");
  const end = `${stdout ?? ""}${stderr ?? ""}`.slice(-2000);
  return new Error(`${line}: did not end within ${timeout / 1000} s; its output: ${end}`, {
    cause,
  });
}

/** @param {unknown[]} args */
function spawnSyncWithLimit(...args) {
  const limit = limited(args);
  const result = Reflect.apply(spawnSync, undefined, limit?.args ?? args);
  if (limit !== undefined && isTimeout(result.error))
    throw hanging(args, limit.timeout, result, result.error);
  return result;
}

/** @param {typeof execFileSync | typeof execSync} call */
const withLimit =
  (call) =>
  /** @param {unknown[]} args */
  (...args) => {
    const limit = limited(args);
    try {
      return Reflect.apply(call, undefined, limit?.args ?? args);
    } catch (error) {
      if (limit === undefined || !isTimeout(error)) throw error;
      throw hanging(args, limit.timeout, /** @type {object} */ (error), error);
    }
  };

Object.assign(childProcess, {
  spawnSync: spawnSyncWithLimit,
  execFileSync: withLimit(execFileSync),
  execSync: withLimit(execSync),
});
syncBuiltinESMExports();
