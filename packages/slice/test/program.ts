import { type SpawnSyncOptions, spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { type BundleCopy, copyBundle } from "@cm4all/testing";

/** Copies the built program into an empty directory. */
export function copyProgram(): BundleCopy {
  return copyBundle(fileURLToPath(new URL("../dist/cm4all-slice.js", import.meta.url)));
}

export interface Result {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the copy of the program, by default with its directory as the working directory. */
export function run(
  { program, directory }: BundleCopy,
  args: readonly string[],
  options: SpawnSyncOptions = {},
): Result {
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, ...args], {
    cwd: directory,
    ...options,
    encoding: "utf8",
  });
  return { status, stdout, stderr };
}
