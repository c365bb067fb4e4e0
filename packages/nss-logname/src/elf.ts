/**
 * Reads the architecture of a shared object from its ELF header.
 *
 * @see elf(5)
 */

const ELFCLASS64 = 2;
const ELFDATA2MSB = 2;
const EM_ARM = 40;
const EF_ARM_ABI_FLOAT_HARD = 0x400;

/** Names for common values of `e_machine`. */
const machineNames: Readonly<Record<number, string>> = {
  3: "x86",
  8: "mips",
  20: "powerpc",
  21: "powerpc",
  22: "s390",
  [EM_ARM]: "arm",
  62: "x86-64",
  183: "aarch64",
  243: "riscv",
  258: "loongarch",
};

/** The size of the header of a 64-bit file, which is longer than that of a 32-bit file. */
export const HEADER_BYTES = 64;

/**
 * Returns the architecture of an ELF file, such as `x86-64, 64 bits, little-endian`; undefined
 * for other files. Only files of the same architecture can be loaded into the same process.
 */
export function parseArchitecture(file: Buffer): string | undefined {
  // The header of a 32-bit file, the shorter one, has 52 bytes.
  if (file.length < 52 || file.toString("latin1", 0, 4) !== "\x7fELF") return undefined;
  const is64 = file[4] === ELFCLASS64;
  const isBig = file[5] === ELFDATA2MSB;
  const machine = isBig ? file.readUInt16BE(18) : file.readUInt16LE(18);
  const parts = [
    machineNames[machine] ?? `machine ${machine}`,
    is64 ? "64 bits" : "32 bits",
    isBig ? "big-endian" : "little-endian",
  ];
  if (machine === EM_ARM) {
    // Debian's armel and armhf differ only in these flags.
    const flags = isBig ? file.readUInt32BE(36) : file.readUInt32LE(36);
    parts.push(flags & EF_ARM_ABI_FLOAT_HARD ? "hard-float" : "soft-float");
  }
  return parts.join(", ");
}
