/**
 * Programs of Debian packages that tests need and nobody should have to install: they would
 * start a server. Each is fetched once from the host's mirror, as any user, and unpacked
 * into `$XDG_CACHE_HOME/cm4all-spawn-tests`.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

const PROGRAMS = {
  promtool: { debianPackage: "prometheus", path: "usr/bin/promtool" },
} as const;

export type UnpackedProgram = keyof typeof PROGRAMS;

/** A download of some 20 MB; whoever comes meanwhile waits for it. */
const TIMEOUT_MS = 300_000;

/** Fetches the package $2 and unpacks its file $3 into the directory $1, which is not there. */
const UNPACK = `
  test ! -e "$1" || exit 0
  rm -rf "$1.new"
  mkdir "$1.new"
  cd "$1.new"
  apt-get download -qq "$2"
  dpkg-deb --fsys-tarfile ./*.deb | tar -x "./$3"
  rm ./*.deb
  mv "$1.new" "$1"
`;

function cacheDirectory(): string {
  const { XDG_CACHE_HOME } = process.env;
  return join(XDG_CACHE_HOME || join(homedir(), ".cache"), "cm4all-spawn-tests");
}

/**
 * Returns where a program is, and fetches it if it is not there yet.
 * @throws Error if it cannot be fetched
 */
export function unpackedProgram(name: UnpackedProgram): string {
  const { debianPackage, path } = PROGRAMS[name];
  const installed = join("/", path);
  if (existsSync(installed)) return installed;
  const cache = cacheDirectory();
  const directory = join(cache, debianPackage);
  const program = join(directory, path);
  if (existsSync(program)) return program;
  mkdirSync(cache, { recursive: true });
  // Test files run at the same time.
  const { status, stderr, error } = spawnSync(
    "flock",
    [
      `${directory}.lock`,
      "bash",
      "-euo",
      "pipefail",
      "-c",
      UNPACK,
      "sh",
      directory,
      debianPackage,
      path,
    ],
    { encoding: "utf8", timeout: TIMEOUT_MS },
  );
  if (status === 0) return program;
  throw new Error(
    `apt-get download ${debianPackage} failed (after apt-get update it may work): ${error?.message ?? stderr.trim()}`,
  );
}

/** Returns why a program is not there and cannot be fetched, for the probes of needs.ts. */
export function unpackedMissing(name: UnpackedProgram): string | undefined {
  try {
    unpackedProgram(name);
    return undefined;
  } catch (error) {
    return `needs ${name}: ${error instanceof Error ? error.message : error}`;
  }
}
