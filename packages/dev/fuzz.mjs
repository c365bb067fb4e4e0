// @ts-check
/**
 * `npm run fuzz -- SUBJECT SECONDS [SEED]`: for SECONDS seconds, fuzzes code that reads bytes from
 * other programs or users. A subject is a file packages/PACKAGE/fuzz/SUBJECT.ts, or a package whose
 * own npm script `fuzz` takes the number of seconds. Findings are written below .data/fuzz; after a
 * bug has been fixed, the input that showed it belongs in the subject's corpus,
 * packages/PACKAGE/fuzz/corpus/SUBJECT.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { EX_USAGE, fail, installDependencies, root, turbo } from "./setup.mjs";

/** A subject that is still running this long after SECONDS have passed is killed. */
const GRACE_SECONDS = 60;
const HEAP_MIB = 256;

const packages = readdirSync(join(root, "packages"));
const subjects = packages.flatMap((name) => {
  const directory = join(root, "packages", name, "fuzz");
  if (!existsSync(directory)) return [];
  return readdirSync(directory)
    .filter((file) => file.endsWith(".ts"))
    .map((file) => ({ subject: file.slice(0, -3), directory: join(root, "packages", name) }));
});

/**
 * Returns the directory of a package if the package has its own npm script `fuzz`.
 * @param {string} name
 */
function ownScript(name) {
  const manifest = join(root, "packages", name, "package.json");
  if (!existsSync(manifest)) return undefined;
  /** @type {{ scripts?: Record<string, string> }} */
  const { scripts } = JSON.parse(readFileSync(manifest, "utf8"));
  return scripts?.["fuzz"] === undefined ? undefined : join(root, "packages", name);
}

const own = packages.filter((each) => ownScript(each) !== undefined);
const names = [...subjects.map(({ subject }) => subject), ...own].sort();
const [name, seconds = "60", ...seed] = process.argv.slice(2);
if (name === undefined || !/^[0-9]+$/.test(seconds)) {
  const usage = "usage: npm run fuzz -- SUBJECT SECONDS [SEED]";
  fail(`${usage}; there are ${names.join(", ")}`, EX_USAGE);
}
if (!names.includes(name))
  fail(`there is no subject ${name}; there are ${names.join(", ")}`, EX_USAGE);
installDependencies();
turbo(["run", "build", "--filter=./packages/linux", "--output-logs=errors-only"]);
const found = subjects.find(({ subject }) => subject === name);
process.exit(found === undefined ? runOwn(name) : await runSubject(found));

/** @param {string} subject @returns {number} the exit status */
function runOwn(subject) {
  const directory = ownScript(subject);
  const args = ["run", "fuzz", "--", seconds, ...seed];
  return spawnSync("npm", args, { cwd: directory, stdio: "inherit" }).status ?? 1;
}

/** @param {{ subject: string, directory: string }} found @returns {Promise<number>} */
async function runSubject({ subject, directory }) {
  const work = join(root, ".data/fuzz");
  mkdirSync(work, { recursive: true });
  const entry = `dist/fuzz/${subject}.entry.ts`;
  const outfile = `dist/fuzz/${subject}.js`;
  process.chdir(directory);
  mkdirSync("dist/fuzz", { recursive: true });
  writeFileSync(
    entry,
    `import { runSubject } from "@cm4all/testing/fuzz-main";
import { subject } from "../../fuzz/${subject}.ts";
void runSubject(subject);
`,
  );
  // Imported only here, because a bare checkout has no bundler yet.
  const { bundle } = await import("./bundle.mjs");
  const ffi = readFileSync("package.json", "utf8").includes('"@cm4all/linux": ');
  await bundle({ entry, outfile, budgetKiB: 8000, ffi, stays: true });
  const file = join(work, subject);
  const { status, signal } = spawnSync(
    process.execPath,
    [`--max-old-space-size=${HEAP_MIB}`, outfile, seconds, file, ...seed],
    { stdio: "inherit", timeout: (Number(seconds) + GRACE_SECONDS) * 1000, killSignal: "SIGKILL" },
  );
  if (status === null)
    console.error(`${subject}: ended by ${signal}; ${file} has the last input, after its length`);
  return status ?? 1;
}
