// @ts-check
/** Finds the machine for which the ELF files of a Debian package are built. @see elf(5) */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** The values of `e_machine`, by Debian's name for the architecture. */
const EM = { amd64: 62, arm64: 183 };

/**
 * Returns `e_machine` of a file; undefined if it is not an ELF file. Pure.
 * @param {Buffer} bytes
 */
export function elfMachine(bytes) {
  const isElf = bytes.length >= 20 && bytes.readUInt32BE(0) === 0x7f454c46;
  // EI_DATA: 1 is little-endian.
  return isElf ? (bytes[5] === 1 ? bytes.readUInt16LE(18) : bytes.readUInt16BE(18)) : undefined;
}

/**
 * Compares the ELF files in a Debian package with its architecture.
 * @param {string} path of a .deb file
 * @returns {string[]} a line for each ELF file that is for a different machine than the package; if
 *   the package's architecture is `all`, a line for each ELF file
 */
export function wrongMachines(path) {
  const architecture = execFileSync("dpkg-deb", ["-f", path, "Architecture"], {
    encoding: "utf8",
  }).trim();
  const wanted = Object.entries(EM).find(([name]) => name === architecture)?.[1];
  const tree = mkdtempSync(join(tmpdir(), "cm4all-deb-elf-"));
  try {
    execFileSync("dpkg-deb", ["-x", path, tree]);
    return readdirSync(tree, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .flatMap((entry) => {
        const file = join(entry.parentPath, entry.name);
        const machine = elfMachine(readFileSync(file));
        return machine === undefined || machine === wanted
          ? []
          : [
              `${path}: ${file.slice(tree.length)} is for ELF machine ${machine}, not ${architecture}`,
            ];
      });
  } finally {
    rmSync(tree, { recursive: true });
  }
}
