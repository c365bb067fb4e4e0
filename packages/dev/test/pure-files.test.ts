/** Tests that the list of pure files has only those that do no I/O, not even through an import. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { checkPureLayers, pureFiles } from "../pure-files.mjs";

let root: string;

function write(file: string, text: string): void {
  mkdirSync(dirname(join(root, file)), { recursive: true });
  writeFileSync(join(root, file), text);
}

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "pure-"));
  write("packages/a/package.json", '{ "name": "@x/a" }');
  write("packages/b/package.json", '{ "name": "@x/b", "exports": { ".": "./src/index.ts" } }');
  write("packages/b/src/index.ts", 'export * from "./read.ts";\nexport { add } from "./add.ts";\n');
  write("packages/b/src/add.ts", "export const add = (a: number, b: number) => a + b;\n");
  write(
    "packages/b/src/read.ts",
    'import { readFileSync } from "node:fs";\nexport const read = readFileSync;\nexport type File = string;\n',
  );
});

afterEach(() => rmSync(root, { recursive: true }));

it.each([
  ["calculates", "export const a = Math.max(1, 2);\n"],
  [
    "imports a name that a pure file of another package defines",
    'import { add } from "@x/b";\nexport const a = add(1, 2);\n',
  ],
  [
    "imports a type",
    'import { type File, add } from "@x/b";\nimport type { Stats } from "node:fs";\nexport const a = add as unknown as File | Stats;\n',
  ],
  [
    "imports constants of the system",
    'import { constants } from "node:os";\nexport const a = constants.errno;\n',
  ],
  ["converts a given date", "export const a = (ms: number) => new Date(ms).toISOString();\n"],
])("lists a file that %s", (_what, text) => {
  write("packages/a/src/a.ts", text);
  expect(pureFiles(root)).toEqual(["packages/a/src/a.ts", "packages/b/src/add.ts"]);
});

it.each([
  ["reads files", 'import { readFileSync } from "node:fs";\nexport const a = readFileSync;\n'],
  ["imports a function that reads", 'import { read } from "@x/b";\nexport const a = read;\n'],
  ["re-exports a file that reads", 'export * from "../../b/src/read.ts";\n'],
  ["reads the clock", "export const a = () => Date.now();\n"],
  ["makes a date from the current time", "export const a = () => new Date();\n"],
  ["makes random bytes", "export const a = () => crypto.randomUUID();\n"],
  ["reads the environment", 'export const a = process.env["A"];\n'],
  ["waits", "export const a = () => setTimeout(() => {}, 1);\n"],
  ["calls C functions", 'import { load } from "ffi-rs";\nexport const a = load;\n'],
  ["loads a module later", 'export const a = () => import("./b.ts");\n'],
])("does not list a file that %s", (_what, text) => {
  write("packages/a/src/a.ts", text);
  expect(pureFiles(root)).toEqual(["packages/b/src/add.ts"]);
});

it("complains if a file of a layer that is called pure does I/O", () => {
  const layers = "    bytes, pure     packages/a\n    system calls    packages/b\n";
  write("docs/design.md", `## Layers\n\n${layers}\n## Threads\n`);
  write("packages/a/src/a.ts", "export const a = 1;\n");
  expect(checkPureLayers(root)).toEqual([]);
  write("packages/a/src/a.ts", "export const a = () => Date.now();\n");
  expect(checkPureLayers(root)).toEqual([expect.stringMatching(/^packages\/a\/src\/a\.ts: /)]);
});
