import { copyFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";

/** A copy of a built bundle, without the files around it. Disposing of it removes it. */
export interface BundleCopy extends Disposable {
  /** The program, to be run with Node. */
  readonly program: string;
  /** The directory of the copy. */
  readonly directory: string;
}

/**
 * Copies only a bundle to an empty directory, in which it has to run without other files.
 * @param besides further files that belong next to the bundle, such as the ffi-rs addon
 */
export function copyBundle(bundle: string, besides: readonly string[] = []): BundleCopy {
  const directory = mkdtempSync(join(tmpdir(), "bundle-"));
  for (const file of [bundle, ...besides]) copyFileSync(file, join(directory, basename(file)));
  return {
    program: join(directory, basename(bundle)),
    directory,
    [Symbol.dispose]: () => rmSync(directory, { recursive: true }),
  };
}
