/** Tests that the check of the layers finds each kind of violation. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { checkLayers } from "../layers.mjs";

const DESIGN = `# Design

## Layers

    policy          packages/a/src/policy
    meaning         packages/a/src/{names,kinds}.ts
                    packages/a/src/store.ts

and between packages:

    programs        packages/a
    system calls    packages/linux

## Threads
`;

let root: string;

function write(file: string, text: string): void {
  mkdirSync(dirname(join(root, file)), { recursive: true });
  writeFileSync(join(root, file), text);
}

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "layers-"));
  write("docs/design.md", DESIGN);
  write("packages/a/package.json", '{ "name": "@x/a" }');
  write(
    "packages/linux/package.json",
    '{ "name": "@x/linux", "exports": { ".": "./src/index.ts" } }',
  );
  write("packages/linux/src/index.ts", 'export * from "./libc.ts";\n');
  write("packages/linux/src/libc.ts", 'import { load } from "ffi-rs";\nexport const a = load;\n');
  write("packages/a/src/names.ts", 'import { a } from "@x/linux";\nexport const names = a;\n');
  write("packages/a/src/kinds.ts", "export type Kind = 1;\n");
  write(
    "packages/a/src/store.ts",
    'import type { Kind } from "./kinds.ts";\nexport type S = Kind;\n',
  );
  write(
    "packages/a/src/policy/rules.ts",
    'import { names } from "../names.ts";\nexport default names;\n',
  );
});

afterEach(() => rmSync(root, { recursive: true }));

it("finds nothing if all imports point down", () => {
  expect(checkLayers(root)).toEqual([]);
});

it.each([
  ["a value", 'import rules from "../src/policy/rules.ts";\n', 1],
  ["a type", '\nimport type { Rule } from "./policy/rules.ts";\n', 2],
  ["several lines", 'import {\n  one,\n  type Two,\n} from "./policy/rules.ts";\n', 4],
  ["a module that is loaded later", 'export const later = () => import("./policy/rules.ts");\n', 1],
  ["a re-export", 'export * from "./policy/rules.ts";\n', 1],
])("finds an import that points up: %s", (_what, text, line) => {
  write("packages/a/src/kinds.ts", text);
  expect(checkLayers(root)).toEqual([
    `packages/a/src/kinds.ts:${line}: imports packages/a/src/policy/rules.ts, which is above it: meaning knows nothing of policy`,
  ]);
});

it("finds an import that points up between packages", () => {
  write(
    "packages/a/package.json",
    '{ "name": "@x/a", "exports": { "./names": "./src/names.ts" } }',
  );
  write("packages/linux/src/fd.ts", 'import { names } from "@x/a/names";\n');
  expect(checkLayers(root)).toEqual([
    expect.stringContaining("packages/linux/src/fd.ts:1: imports packages/a/src/names.ts"),
  ]);
});

it("finds a circular import within a layer, even of types", () => {
  write("packages/a/src/kinds.ts", 'import type { S } from "./store.ts";\nexport type Kind = S;\n');
  expect(checkLayers(root)).toEqual([
    expect.stringMatching(/^imports in a circle: .*kinds\.ts -> .*store\.ts -> .*kinds\.ts$/),
  ]);
});

it("finds a second file that imports ffi-rs", () => {
  write("packages/linux/src/other.ts", 'import { open } from "ffi-rs";\n');
  expect(checkLayers(root)).toEqual([
    "packages/linux/src/other.ts:1: only packages/linux/src/libc.ts imports ffi-rs",
  ]);
});

it("finds a file that is in no layer, except tests", () => {
  write("packages/a/src/stray.ts", "");
  write("packages/a/src/stray.test.ts", 'import "./policy/rules.ts";\n');
  expect(checkLayers(root)).toEqual(["packages/a/src/stray.ts: is in no layer of docs/design.md"]);
});
