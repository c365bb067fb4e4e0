import { chmodSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { bundle } from "@cm4all/dev/bundle";
import { type BundleCopy, copyBundle } from "@cm4all/testing";

const dist = fileURLToPath(new URL("../dist", import.meta.url));

/** Copies the built program into an empty directory, with nothing but the addons. */
export function copyProgram(): BundleCopy {
  const addons = readdirSync(dist).filter((name) => name.endsWith(".node"));
  const copy = copyBundle(
    join(dist, "cm4all-spawn-netns.js"),
    addons.map((name) => join(dist, name)),
  );
  // For the tests that run the program as another user.
  chmodSync(copy.directory, 0o755);
  return copy;
}

/** Builds a program of this directory. @param name `driver`, `leaderless` or `writer` */
export async function buildTestProgram(name: string): Promise<BundleCopy> {
  const directory = mkdtempSync(join(tmpdir(), `${name}-`));
  const program = join(directory, `${name}.js`);
  const entry = fileURLToPath(new URL(`${name}.ts`, import.meta.url));
  await bundle({ entry, outfile: program, budgetKiB: 450, ffi: true });
  return { program, directory, [Symbol.dispose]: () => rmSync(directory, { recursive: true }) };
}
