/** The known test suites, and how each is run. */
import { readdirSync } from "node:fs";
import { join } from "node:path";

export interface Program {
  /** The path below the suite's folder. */
  readonly name: string;
  readonly words: readonly string[];
}

export interface Suite {
  readonly name: string;
  /** The folder of the suite's repository, or the part of it that contains the tests. */
  readonly folder: string;
  /** The templates of LUA_PATH, relative to the suite's folder. */
  readonly path: readonly string[];
  /** Returns the programs of the suite, which are run in its folder. */
  readonly programs: (folder: string) => Program[];
}

const busted = join(import.meta.dirname, "../suites/busted.lua");

/** Returns the files in and below a folder whose names end in `end` and do not match `but`. */
function files(folder: string, end: string, but: RegExp = /^$/): Program[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(end) && !but.test(name))
    .sort()
    .map((name) => ({ name, words: [name] }));
}

const specs = (part: string) => (folder: string) =>
  files(join(folder, part), "_spec.lua").map(({ name }) => ({
    name,
    words: [busted, join(part, name)],
  }));

const one =
  (name: string, ...words: string[]) =>
  () => [{ name, words: [name, ...words] }];

export const suites: readonly Suite[] = [
  {
    name: "lua-Harness",
    folder: "lua-Harness",
    path: ["?.lua"],
    programs: (folder) => files(folder, ".t", /\//),
  },
  {
    name: "LuaJIT-test-cleanup",
    folder: "LuaJIT-test-cleanup/test",
    path: ["?.lua", "common/?.lua"],
    programs: (folder) =>
      files(folder, ".lua", /^(?:test|computations)\.lua$|ffi|^common|^bc|^sysdep/),
  },
  {
    name: "PUC 5.1 tests",
    folder: "lua5.1-tests",
    path: ["?.lua"],
    programs: (folder) => files(folder, ".lua", /\/|^(?:all|main|api|checktable)\.lua$/),
  },
  {
    name: "luaunit",
    folder: "luaunit",
    path: ["?.lua"],
    programs: one("run_unit_tests.lua"),
  },
  {
    name: "Penlight",
    folder: "Penlight",
    path: ["lua/?.lua", "lua/?/init.lua"],
    programs: (folder) => [
      ...files(join(folder, "tests"), ".lua", /\//).map(({ name }) => ({
        name,
        words: [join("tests", name)],
      })),
      ...specs("spec")(folder),
    ],
  },
  { name: "dkjson", folder: "dkjson", path: ["?.lua"], programs: one("jsontest.lua") },
  { name: "serpent", folder: "serpent", path: ["src/?.lua", "?.lua"], programs: one("t/test.lua") },
  { name: "date", folder: "date", path: ["src/?.lua"], programs: specs("spec") },
  { name: "inspect", folder: "inspect.lua", path: ["?.lua"], programs: specs("spec") },
  { name: "middleclass", folder: "middleclass", path: ["?.lua"], programs: specs("spec") },
];
