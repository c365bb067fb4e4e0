/** What users other than the owner can get to; in a checkout below /root that is nothing. */
import { chmodSync, cpSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";

/** Whether any user may search a directory and all above it. */
export function isOpenToOthers(directory: string): boolean {
  if ((statSync(directory).mode & 0o001) === 0) return false;
  return directory === "/" || isOpenToOthers(dirname(directory));
}

/** A program that any user can run. */
export interface OpenProgram extends Disposable {
  readonly path: string;
}

/**
 * The program itself, or where others cannot get to it, a copy of its directory that
 * disposing of it removes.
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
