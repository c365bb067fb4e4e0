/**
 * Unpacks programs for tests from Debian packages. A test should not install these packages: some
 * would start a server, or otherwise change the system. Each package is fetched once, from the
 * host's mirror, and unpacked into `$XDG_CACHE_HOME/cm4all-spawn-tests`. Root is not required.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";

interface Program {
  /** The packages that may have the program; the first that exists has it. */
  readonly debianPackages: readonly string[];
  readonly path: string;
  /** True to unpack the program with the libraries that the system does not have. */
  readonly hasLibraries?: true;
}

const PROGRAMS = {
  // promtool has had a package of its own since Debian 13.
  promtool: { debianPackages: ["promtool", "prometheus"], path: "usr/bin/promtool" },
  prometheus: { debianPackages: ["prometheus"], path: "usr/bin/prometheus" },
  chromium: {
    debianPackages: ["chromium-headless-shell"],
    path: "usr/lib/chromium/chromium-headless-shell",
    hasLibraries: true,
  },
  visudo: { debianPackages: ["sudo"], path: "usr/sbin/visudo", hasLibraries: true },
  pgbouncer: { debianPackages: ["pgbouncer"], path: "usr/sbin/pgbouncer", hasLibraries: true },
} satisfies Record<string, Program>;

export type UnpackedProgram = keyof typeof PROGRAMS;

/**
 * The time limit for a download of some 20 MB, in milliseconds. Other processes that need the
 * program wait meanwhile.
 */
const TIMEOUT_MS = 300_000;

/**
 * Fetches the first of the packages $3... that exists, and unpacks its file $2 into the directory
 * $1, in place of the files of an earlier version of the tests.
 */
const UNPACK = `
  test ! -e "$1/$2" || exit 0
  directory=$1 file=$2
  shift 2
  rm -rf "$directory.new"
  mkdir "$directory.new"
  cd "$directory.new"
  for package; do
    if apt-get download -qq "$package"; then break; fi
  done
  dpkg-deb --fsys-tarfile ./*.deb | tar -x "./$file"
  rm -rf ./*.deb "$directory"
  mv "$directory.new" "$directory"
`;

/**
 * Fetches the package $3 and those of its dependencies that are not installed, and unpacks all of
 * them.
 */
const UNPACK_WITH_LIBRARIES = `
  test ! -e "$1" || exit 0
  rm -rf "$1.new"
  mkdir -p "$1.new/archives/partial"
  cd "$1.new"
  apt-get install -qq --download-only --yes --no-install-recommends \
    -o Debug::NoLocking=1 -o Dir::Cache::archives="$1.new/archives" "$3"
  for package in archives/*.deb; do
    dpkg-deb --extract "$package" .
  done
  rm -r archives
  # Nothing may stay set-uid: of sudo, only visudo is wanted.
  chmod -R ug-s .
  mv "$1.new" "$1"
`;

function cacheDirectory(): string {
  const { XDG_CACHE_HOME } = process.env;
  return join(XDG_CACHE_HOME || join(homedir(), ".cache"), "cm4all-spawn-tests");
}

/**
 * Returns the path of a program, and fetches the program if it is not there yet.
 * @throws Error if it cannot be fetched
 */
export function unpackedProgram(name: UnpackedProgram): string {
  const { debianPackages, path, hasLibraries }: Program = PROGRAMS[name];
  const installed = join("/", path);
  if (existsSync(installed)) return installed;
  const cache = cacheDirectory();
  const directory = join(cache, name);
  const program = join(directory, path);
  if (existsSync(program)) return program;
  mkdirSync(cache, { recursive: true });
  // Locked, because test files run at the same time.
  const { status, stderr, error } = spawnSync(
    "flock",
    [
      `${directory}.lock`,
      "bash",
      "-euo",
      "pipefail",
      "-c",
      hasLibraries ? UNPACK_WITH_LIBRARIES : UNPACK,
      "sh",
      directory,
      path,
      ...debianPackages,
    ],
    { encoding: "utf8", timeout: TIMEOUT_MS },
  );
  if (status === 0) return program;
  throw new Error(
    `apt-get download ${debianPackages.join(" or ")} failed (after apt-get update it may work): ${error?.message ?? stderr.trim()}`,
  );
}

/**
 * Returns the directory into which a program's packages were unpacked; undefined if the program is
 * installed.
 */
function unpackedRoot(program: string): string | undefined {
  return program.slice(0, program.lastIndexOf("/usr/")) || undefined;
}

/**
 * Returns the directories of the libraries that were unpacked with a program, for
 * `LD_LIBRARY_PATH`.
 */
export function unpackedLibraries(program: string): string {
  const root = unpackedRoot(program);
  if (root === undefined) return "";
  // Packages of Debian 12 have files in both lib and usr/lib, which are the same directory in an
  // installed system, where /lib is a symbolic link.
  const directories = ["lib", "usr/lib", "usr/libexec"]
    .map((name) => join(root, name))
    .filter(existsSync);
  return directories
    .flatMap((libraries) => readdirSync(libraries).map((name) => join(libraries, name)))
    .flatMap((triplet) => [triplet, join(triplet, "pulseaudio")])
    .join(":");
}

/**
 * Returns variables with which a program finds the fonts that were unpacked with it, if there are
 * any.
 */
export function unpackedFonts(program: string): Record<string, string> {
  const root = unpackedRoot(program);
  if (root === undefined) return {};
  const configuration = join(root, "etc/fonts");
  if (!existsSync(configuration)) return {};
  return { FONTCONFIG_PATH: configuration, XDG_DATA_HOME: join(root, "usr/share") };
}

/**
 * Returns the reason why a program is missing and cannot be fetched, for the probes of needs.ts;
 * undefined otherwise.
 */
export function unpackedMissing(name: UnpackedProgram): string | undefined {
  try {
    unpackedProgram(name);
    return undefined;
  } catch (error) {
    return `needs ${name}: ${error instanceof Error ? error.message : error}`;
  }
}
