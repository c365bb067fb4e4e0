/**
 * `npm run suites -- FOLDER [SUITE]...`: runs all test suites of other projects below FOLDER, or
 * the named ones. Each program is run with LuaJIT and with our interpreter; the output shows how
 * many tests pass with each. The environment variable LUAJIT may name LuaJIT's executable.
 */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { type Suite, suites } from "./suites.ts";

const ours = [process.execPath, join(import.meta.dirname, "lua.js")];
const luajit = [process.env["LUAJIT"] ?? "luajit"];

/** Replacements for C modules that suites need. */
const stubs = join(import.meta.dirname, "../suites/stubs/?.lua");

/**
 * The time that a program may take on a busy machine. Some programs wait for the garbage collector
 * for ever.
 */
const TIMEOUT_MS = 150_000;

interface Tally {
  passed: number;
  failed: string[];
}

/**
 * Runs a program, and counts each `ok`, and each `not ok` that is not marked `# TODO`, or takes the
 * figures of luaunit's summary. Without either, the program counts as one test.
 */
function run(
  interpreter: readonly string[],
  suite: Suite,
  folder: string,
  words: readonly string[],
) {
  const [command = "", ...first] = interpreter;
  const path = [...suite.path.map((part) => `${folder}/${part}`), stubs];
  const { stdout, stderr, status } = spawnSync(command, [...first, ...words], {
    cwd: folder,
    encoding: "latin1",
    timeout: TIMEOUT_MS,
    maxBuffer: 64 * 1024 * 1024,
    env: { ...process.env, LUA_PATH: `${path.join(";")};;`, LUA_INIT: undefined },
  });
  const tally: Tally = { passed: 0, failed: [] };
  const lines = stdout.split("\n");
  for (const line of lines) {
    if (/^not ok\b/.test(line) && !/# TODO/i.test(line)) tally.failed.push(line);
    else if (/^ok\b/.test(line)) tally.passed++;
  }
  const [, successes, failures] = /(\d+) success(?:es)?(?:, (\d+) fail)?/.exec(stdout) ?? [];
  if (successes !== undefined && tally.passed === 0) tally.passed = Number(successes);
  if (failures !== undefined) tally.failed.push(`${failures} failures`);
  const isWhole = tally.passed + tally.failed.length === 0;
  if (status !== 0 && tally.failed.length === 0)
    tally.failed.push(firstLine(stderr || lines.slice(-3).join(" ")));
  else if (isWhole) tally.passed = 1;
  return tally;
}

/** Returns the first line, without the name of the interpreter in front of it. */
function firstLine(text: string): string {
  return (text.trim().split("\n")[0] ?? "").replace(/^\S*luajit\S*: /, "");
}

function total(tallies: readonly Tally[]): string {
  const passed = tallies.reduce((sum, tally) => sum + tally.passed, 0);
  const failed = tallies.reduce((sum, tally) => sum + tally.failed.length, 0);
  return `${passed} of ${passed + failed}`;
}

const [given, ...names] = process.argv.slice(2);
const unknown = names.find((name) => !suites.some((suite) => suite.name === name));
if (given === undefined || unknown !== undefined) {
  if (unknown !== undefined) console.error(`no such suite: ${unknown}`);
  console.error("usage: npm run suites -- FOLDER [SUITE]...");
  console.error(`suites: ${suites.map(({ name }) => JSON.stringify(name)).join(" ")}`);
  process.exit(2);
}
const rows: string[] = [];
for (const suite of suites.filter(({ name }) => names.length === 0 || names.includes(name))) {
  const folder = join(resolve(given), suite.folder);
  if (!existsSync(folder)) {
    rows.push(`| ${suite.name} | not there | |`);
    continue;
  }
  const theirs: Tally[] = [];
  const own: Tally[] = [];
  for (const { name, words } of suite.programs(folder)) {
    const expected = run(luajit, suite, folder, words);
    const got = run(ours, suite, folder, words);
    theirs.push(expected);
    own.push(got);
    // Tests that fail with LuaJIT, too, are left out.
    const differing = got.failed.filter((line) => !expected.failed.includes(line));
    for (const line of differing) console.log(`${suite.name}: ${name}: ${line}`);
  }
  rows.push(`| ${suite.name} | ${total(theirs)} | ${total(own)} |`);
}
console.log(["", "| suite | LuaJIT | ours |", "| --- | --- | --- |", ...rows].join("\n"));
