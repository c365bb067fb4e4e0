import { chmodSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface TemporaryDirectory extends Disposable {
  readonly path: string;
}

/** The paths of the directories that exist now. */
const paths = new Set<string>();
process.once("exit", () => {
  for (const path of paths) rmSync(path, { recursive: true });
});

/**
 * Makes a directory in which everybody may write, because accounting scripts run as a user of their
 * own, if that user exists. It is removed at the latest when this process ends.
 */
export function temporaryDirectory(): TemporaryDirectory {
  const path = mkdtempSync(join(tmpdir(), "bench-"));
  chmodSync(path, 0o777);
  paths.add(path);
  const dispose = () => {
    rmSync(path, { recursive: true });
    paths.delete(path);
  };
  return { path, [Symbol.dispose]: dispose };
}
