/**
 * Finds or makes directories that users other than the owner can access. A checkout below /root
 * has none.
 */
import { chmodSync, cpSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";

/** Returns whether any user may search a directory and all directories above it. */
export function isOpenToOthers(directory: string): boolean {
  if ((statSync(directory).mode & 0o001) === 0) return false;
  return directory === "/" || isOpenToOthers(dirname(directory));
}

/** A program that any user can run. */
export interface OpenProgram extends Disposable {
  readonly path: string;
}

/**
 * Returns the program itself or, if other users cannot access it, a copy of its directory.
 * Disposing of the result removes the copy.
 */
export function openProgram(path: string): OpenProgram {
  const directory = dirname(path);
  if (isOpenToOthers(directory)) return { path, [Symbol.dispose]: () => {} };
  const temporary = mkdtempSync(join(tmpdir(), "open-"));
  const copy = join(temporary, basename(directory));
  cpSync(directory, copy, { recursive: true });
  chmodSync(temporary, 0o755);
  return {
    path: join(copy, basename(path)),
    [Symbol.dispose]: () => rmSync(temporary, { recursive: true, force: true }),
  };
}
