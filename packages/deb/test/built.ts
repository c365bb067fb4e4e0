/** Builds the Debian packages twice, for the tests. */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("../../..", import.meta.url));

export interface Built {
  /** The paths of the packages of the first build, by package name. */
  readonly first: ReadonlyMap<string, string>;
  /** The same for the second build. */
  readonly second: ReadonlyMap<string, string>;
  /** The directory in which the first build was made. */
  readonly source: string;
  /** The directory in which all packages of the first build are unpacked together. */
  readonly tree: string;
  remove(): void;
}

/** Builds in two directories and two environments, and unpacks the first build. */
export function buildTwice(): Built {
  const directory = mkdtempSync(join(tmpdir(), "cm4all-deb-test-"));
  try {
    const first = build(join(directory, "a"), {});
    const elsewhere = { TZ: "Pacific/Auckland", LC_ALL: "C", LANG: "C" };
    const second = build(join(directory, "another/place"), elsewhere);
    const tree = join(directory, "tree");
    for (const path of first.values()) execFileSync("dpkg-deb", ["-x", path, tree]);
    const remove = () => rmSync(directory, { recursive: true, force: true });
    return { first, second, source: join(directory, "a/cm4all-spawn"), tree, remove };
  } catch (error) {
    rmSync(directory, { recursive: true, force: true });
    throw error;
  }
}

function build(directory: string, env: NodeJS.ProcessEnv): Map<string, string> {
  mkdirSync(directory, { recursive: true });
  const program = `
    import { buildBelow } from "${root}/packages/deb/build-packages.mjs";
    buildBelow(${JSON.stringify(directory)});`;
  execFileSync(process.execPath, ["--input-type=module", "-e", program], {
    env: { ...process.env, ...env },
    stdio: ["ignore", "ignore", "inherit"],
  });
  const names = readdirSync(directory).filter((name) => name.endsWith(".deb"));
  return new Map(names.map((name) => [basename(name).split("_")[0] ?? "", join(directory, name)]));
}

/** Returns a field of a package's control file; empty if it is missing. */
export function field(path: string, name: string): string {
  return execFileSync("dpkg-deb", ["-f", path, name], { encoding: "utf8" }).trim();
}
