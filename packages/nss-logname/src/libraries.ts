/**
 * Finds the C library and our module in a tree: in Debian's multiarch directories, Fedora's
 * /usr/lib64 and Arch's /usr/lib.
 */
import type { Tree } from "@cm4all/command/tree";
import { HEADER_BYTES, parseArchitecture } from "./elf.ts";

export const moduleName = "libnss_cm4all_logname.so.2";

/** The C library whose NSS loads our module; musl has no file of this name. */
const libcName = "libc.so.6";

/** An ELF file in the tree. */
export interface Library {
  /** The directory, without symbolic links. */
  readonly directory: string;
  readonly path: string;
  readonly architecture: string;
}

export interface Libraries {
  readonly libcs: readonly Library[];
  readonly modules: readonly Library[];
}

/** The default directories of glibc's ld.so. @see ld.so(8) */
const usualDirectories = ["lib", "lib64", "lib32", "libx32"].flatMap((name) => [
  `/usr/${name}`,
  `/${name}`,
]);

const tripletPattern = /^[a-z0-9_]+-linux-gnu[a-z0-9_]*$/;

/** Finds the libraries. @throws the error of the failed system call if the tree cannot be read */
export function findLibraries(tree: Tree): Libraries {
  const libcs: Library[] = [];
  const modules: Library[] = [];
  const seen = new Set<string>();
  const search = (directory: string): readonly string[] => {
    const list = tree.tryList(directory);
    // On a system with merged /usr, /lib is /usr/lib.
    if (list === undefined || seen.has(list.path)) return [];
    seen.add(list.path);
    if (list.names.includes(libcName)) add(libcs, tree, list.path, libcName);
    if (list.names.includes(moduleName)) add(modules, tree, list.path, moduleName);
    return list.names;
  };
  for (const directory of usualDirectories)
    for (const name of search(directory))
      if (tripletPattern.test(name)) search(`${directory}/${name}`);
  return { libcs, modules };
}

function add(list: Library[], tree: Tree, directory: string, name: string): void {
  const path = `${directory}/${name}`;
  const architecture = parseArchitecture(
    tree.tryReadBeginning(path, HEADER_BYTES) ?? Buffer.alloc(0),
  );
  if (architecture !== undefined) list.push({ directory, path, architecture });
}
