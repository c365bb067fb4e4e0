// @ts-check
/**
 * `npm run mutate -- [PACKAGE|DIRECTORY|FILE[:LINE]...] [--seconds N]`: finds small mistakes that
 * the tests beside a package's sources would not notice. In packages and directories, only files
 * that do no I/O are tried; without arguments, those of all packages. Runs the related tests with
 * small changes of each file, one at a time, and prints the changes that no test notices. The files
 * themselves are not changed. After N seconds, no further change is tried.
 */
import { fork } from "node:child_process";
import { existsSync, readFileSync, realpathSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { pureFiles } from "../pure-files.mjs";
import { commandLine, EX_USAGE, fail, root } from "../setup.mjs";
import { mutantsOf } from "./mutants.mjs";

const TRIAL = fileURLToPath(new URL("trial.mjs", import.meta.url));

/**
 * @typedef {import("./mutants.mjs").Mutant} Mutant
 * @typedef {import("./trial.mjs").Result} Result
 */

/** The process that runs the tests of a file. A new process replaces it if a mutant hangs. */
class Trial {
  /** @type {import("node:child_process").ChildProcess | undefined} */
  #child;
  /** The duration of each test file, for the next process. @type {Record<string, number>} */
  #durations = {};
  #said = "";

  /** @param {string} file its absolute path */
  constructor(file) {
    this.file = file;
    const [, directory] =
      /^(.*\/packages\/[^/]+)\//.exec(file) ?? fail(`${file}: is in no package`);
    this.directory = /** @type {string} */ (directory);
  }

  /**
   * Runs the tests with this text in place of the file's own.
   * @param {string} text @returns {Promise<Result>}
   */
  run(text) {
    this.#child ??= this.#start();
    const child = this.#child;
    return new Promise((resolve) => {
      const onExit = () => {
        this.end();
        resolve({ failed: `ended: ${this.#said}`, durations: this.#durations, hangs: false });
      };
      child.once("exit", onExit);
      child.once("message", (/** @type {Result} */ result) => {
        child.off("exit", onExit);
        this.#durations = result.durations;
        if (result.hangs) this.end();
        resolve(result);
      });
      child.send(text);
    });
  }

  #start() {
    const child = fork(TRIAL, [this.directory, this.file, JSON.stringify(this.#durations)], {
      cwd: this.directory,
      // A process group of its own, so that everything that it starts can be ended with it.
      detached: true,
      stdio: ["ignore", "ignore", "pipe", "ipc"],
    });
    // Only the end of the output is kept, to be shown if no test can be run: mutants that run out
    // of memory print a lot.
    child.stderr?.on("data", (chunk) => {
      this.#said = `${this.#said}${chunk}`.slice(-2000);
    });
    child.once("exit", () => {
      if (this.#child === child) this.end();
    });
    return child;
  }

  /** Ends the process and everything that it has started. */
  end() {
    const pid = this.#child?.pid;
    this.#child = undefined;
    if (pid === undefined) return;
    try {
      process.kill(-pid, "SIGKILL");
    } catch {
      // The process has ended already.
    }
  }
}

/** @type {Trial | undefined} */
let running;
process.once("exit", () => running?.end());
for (const signal of /** @type {const} */ (["SIGINT", "SIGTERM"]))
  process.once(signal, () => process.exit(1));

/**
 * Tries the mutants of a file, and prints those that no test notices.
 * @param {string} file relative to the root @param {ReadonlySet<number> | undefined} lines
 * @param {number} until the time to stop, on the clock of performance.now()
 * @returns {Promise<{ noticed: number, tried: number }>}
 */
async function mutateFile(file, lines, until) {
  const text = readFileSync(join(root, file), "utf8");
  const mutants = mutantsOf(file, text).filter(({ line }) => lines?.has(line) ?? true);
  if (mutants.length === 0) return { noticed: 0, tried: 0 };
  const trial = new Trial(join(root, file));
  running = trial;
  /** @type {Mutant[]} */
  const survivors = [];
  let [tried, hanging] = [0, 0];
  try {
    const { failed, durations } = await trial.run(text);
    if (failed !== undefined) fail(`${file}: fails without any change: ${failed}`);
    if (Object.keys(durations).length === 0)
      console.log(`${file}: has no tests beside the sources`);
    for (const mutant of spread(mutants)) {
      if (performance.now() > until) break;
      tried++;
      const { start, end, replacement } = mutant;
      const result = await trial.run(text.slice(0, start) + replacement + text.slice(end));
      if (result.failed === undefined) survivors.push(mutant);
      if (result.hangs) hanging++;
    }
  } finally {
    trial.end();
  }
  const noticed = tried - survivors.length;
  const notes = [
    tried < mutants.length ? `of ${mutants.length} mutants` : undefined,
    // On a busy machine some of these may merely have been slow.
    hanging > 0 ? `${hanging} of them hang` : undefined,
  ].filter((note) => note !== undefined);
  console.log([`${score(noticed, tried)}  ${file}`, ...notes].join(", "));
  survivors.sort((a, b) => a.start - b.start);
  for (const { line, start, end, replacement } of survivors)
    console.log(
      `    ${file}:${line}: ${inOneLine(text.slice(start, end))}  ->  ${inOneLine(replacement)}`,
    );
  return { noticed, tried };
}

/**
 * Orders the mutants so that a run that ends early has tried some in every part of the file.
 * @param {readonly Mutant[]} mutants @returns {Mutant[]}
 */
function spread(mutants) {
  const parts = Math.ceil(Math.sqrt(mutants.length));
  return Array.from({ length: parts }, (_, first) =>
    mutants.filter((_mutant, i) => i % parts === first),
  ).flat();
}

/** @param {number} noticed @param {number} tried */
function score(noticed, tried) {
  const share = tried === 0 ? "" : ` ${Math.floor((100 * noticed) / tried)} %`;
  return `${noticed} of ${tried}${share}`.padEnd(18);
}

/** @param {string} text */
function inOneLine(text) {
  const line = text.replaceAll(/\s+/g, " ");
  return line.length > 70 ? `${line.slice(0, 67)}...` : line;
}

/** Returns the absolute path of a file or directory, without symbolic links. @param {string} path */
function realPath(path) {
  return existsSync(path) ? realpathSync(path) : resolve(path);
}

/**
 * Returns the files that the arguments name, each with its lines if only some lines are meant.
 * @param {readonly string[]} names @returns {Map<string, Set<number> | undefined>}
 */
function filesOf(names) {
  /** @type {Map<string, Set<number> | undefined>} */
  const files = new Map();
  const pure = pureFiles(root);
  if (names.length === 0) return new Map(pure.map((file) => [file, undefined]));
  for (const name of names) {
    const isPackage = existsSync(join(root, "packages", name, "package.json"));
    const directory = isPackage ? join(root, "packages", name) : realPath(name);
    const inside = pure.filter((file) => join(root, file).startsWith(join(directory, "/")));
    for (const file of inside) files.set(file, undefined);
    if (inside.length > 0) continue;
    const [, path = name, line] = /^(.*\.ts):([0-9]+)$/.exec(name) ?? [];
    const file = relative(root, realPath(path));
    if (!/^packages\/.*\.ts$/.test(file) || !existsSync(path))
      fail(
        `${name}: is neither a source file nor a package or directory with files that do no I/O`,
        EX_USAGE,
      );
    const lines = files.has(file) ? files.get(file) : new Set();
    files.set(file, line === undefined ? undefined : lines?.add(Number(line)));
  }
  return files;
}

const { values, positionals } = commandLine(() =>
  parseArgs({
    options: { seconds: { type: "string", default: "Infinity" } },
    allowPositionals: true,
  }),
);
const until = performance.now() + Number(values.seconds) * 1000;
if (Number.isNaN(until)) fail(`--seconds ${values.seconds}: is not a number`, EX_USAGE);
let [noticed, tried] = [0, 0];
for (const [file, lines] of filesOf(positionals)) {
  if (performance.now() > until) break;
  const result = await mutateFile(file, lines, until);
  noticed += result.noticed;
  tried += result.tried;
}
console.log(`${score(noticed, tried)}  altogether`);
