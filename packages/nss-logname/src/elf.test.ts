import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { parseArchitecture } from "./elf.ts";

/** Returns an ELF header with the fields that the parser reads. */
function header(machine: number, { is64 = true, isBig = false, flags = 0 } = {}): Buffer {
  const file = Buffer.alloc(64);
  file.write("\x7fELF", "latin1");
  file[4] = is64 ? 2 : 1;
  file[5] = isBig ? 2 : 1;
  const flagsOffset = is64 ? 48 : 36;
  if (isBig) {
    file.writeUInt16BE(machine, 18);
    file.writeUInt32BE(flags, flagsOffset);
  } else {
    file.writeUInt16LE(machine, 18);
    file.writeUInt32LE(flags, flagsOffset);
  }
  return file;
}

describe("parseArchitecture", () => {
  it.each([
    [header(62), "x86-64, 64 bits, little-endian"],
    [header(62, { is64: false }), "x86-64, 32 bits, little-endian"],
    [header(3, { is64: false }), "x86, 32 bits, little-endian"],
    [header(183), "aarch64, 64 bits, little-endian"],
    [header(21, { isBig: true }), "powerpc, 64 bits, big-endian"],
    [header(40, { is64: false, flags: 0x5000400 }), "arm, 32 bits, little-endian, hard-float"],
    [header(40, { is64: false, flags: 0x5000200 }), "arm, 32 bits, little-endian, soft-float"],
    [header(9999), "machine 9999, 64 bits, little-endian"],
  ])("distinguishes architectures: %#", (file, expected) => {
    expect(parseArchitecture(file)).toBe(expected);
  });

  it("recognises the architecture of Node's executable", () => {
    const names: Partial<Record<NodeJS.Architecture, RegExp>> = {
      x64: /^x86-64, 64 bits, l/,
      arm64: /^aarch64, 64 bits, l/,
    };
    expect(parseArchitecture(readFileSync(process.execPath))).toMatch(names[process.arch] ?? /./);
  });

  it("returns undefined for other files", () => {
    for (const file of ["", "\x7fELF", "#!/bin/sh\n".padEnd(100)])
      expect(parseArchitecture(Buffer.from(file, "latin1"))).toBeUndefined();
  });
});
