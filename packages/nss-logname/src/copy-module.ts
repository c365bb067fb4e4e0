/** Copies the module into a tree, next to each C library that can load it. */
import { realpathSync } from "node:fs";
import { dirname } from "node:path";
import { CommandFailure, EX_DATAERR, EX_NOINPUT, EX_UNAVAILABLE } from "@cm4all/command";
import { isErrno } from "@cm4all/command/files";
import { readRegularFile } from "@cm4all/command/regular-file";
import { Tree } from "@cm4all/command/tree";
import { parseArchitecture } from "./elf.ts";
import { explained } from "./failure.ts";
import { findLibraries, moduleName } from "./libraries.ts";

/** The maximum size of a module, in bytes; ours is far smaller. */
const MAX_MODULE = 16 * 1024 * 1024;

/** A module that can be copied. */
interface Source {
  readonly path: string;
  readonly content: Buffer;
  readonly architecture: string;
}

/**
 * Copies the module.
 * @param tree the target
 * @param file the module to copy, instead of those of this system
 * @returns a line for each action that was taken
 * @throws CommandFailure if no C library of the tree can load an available module
 */
export function copyModule(tree: Tree, file: string | undefined): string[] {
  const { libcs } = explained(`cannot search ${tree.root}`, () => findLibraries(tree));
  if (libcs.length === 0)
    throw new CommandFailure(
      `${tree.root}: no libc.so.6 of glibc in a usual directory, so nothing can load a module`,
      EX_NOINPUT,
    );
  const sources = file === undefined ? findSources() : [readSource(file)];

  const done: string[] = [];
  for (const libc of libcs) {
    const source = sources.find(({ architecture }) => architecture === libc.architecture);
    if (source === undefined) continue;
    const path = `${libc.directory}/${moduleName}`;
    if (tree.tryRead(path, MAX_MODULE)?.equals(source.content) === true) {
      done.push(`${tree.show(path)}: is the same already`);
      continue;
    }
    explained(`cannot write ${tree.show(path)}`, () => {
      using place = tree.locate(path);
      place.replace(source.content, 0o644);
    });
    done.push(`${tree.show(path)}: copied from ${source.path}`);
  }
  if (done.length === 0) throw new CommandFailure(noModule(tree, libcs, sources), EX_UNAVAILABLE);
  return done;
}

function noModule(
  tree: Tree,
  libcs: readonly { architecture: string }[],
  sources: readonly Source[],
): string {
  const needed = libcs.map(({ architecture }) => `"${architecture}"`).join(" or ");
  const have = sources.map(({ path, architecture }) => `${path} is for "${architecture}"`);
  return [
    `${tree.root}: needs a ${moduleName} for ${needed}`,
    have.length === 0 ? "there is none on this system" : have.join(", "),
    "install the package libnss-cm4all-logname for that architecture, or name a file with --module",
  ].join("; ");
}

function readSource(path: string): Source {
  const content = explained(`cannot read ${path}`, () => readRegularFile(path, MAX_MODULE));
  const architecture = parseArchitecture(content);
  if (architecture === undefined)
    throw new CommandFailure(`${path}: it is not an ELF file`, EX_DATAERR);
  return { path, content, architecture };
}

/** Returns this system's modules: one beside this program, as after a build, and installed ones. */
function findSources(): Source[] {
  using system = new Tree("/");
  const paths = findLibraries(system).modules.map(({ path }) => path);
  const program = process.argv[1];
  if (program !== undefined) paths.unshift(`${dirname(realpathSync(program))}/${moduleName}`);
  return paths.flatMap((path) => trySource(path) ?? []);
}

function trySource(path: string): Source | undefined {
  try {
    const content = readRegularFile(path, MAX_MODULE);
    const architecture = parseArchitecture(content);
    return architecture === undefined ? undefined : { path, content, architecture };
  } catch (error) {
    if (isErrno(error, "ENOENT")) return undefined;
    throw error;
  }
}
