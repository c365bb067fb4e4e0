/** Tests that the filter has the system call numbers of the kernel's headers. */
import { existsSync, readFileSync } from "node:fs";
import { missing } from "@cm4all/testing";
import { expect, it } from "vitest";
import {
  type Architecture,
  encodeRefusal,
  INSTRUCTION_BYTES,
  REFUSABLE_CALLS,
} from "../src/seccomp-filter.ts";

/** arm64 uses the generic numbers, whose header exists on every architecture. */
const HEADERS: Readonly<Record<Architecture, string>> = {
  x64: "/usr/include/x86_64-linux-gnu/asm/unistd_64.h",
  arm64: "/usr/include/asm-generic/unistd.h",
};

function numbersOf(header: string): Map<string, number> {
  const defines = readFileSync(header, "utf8").matchAll(/^#define __NR_(\w+)\s+([0-9]+)$/gm);
  return new Map([...defines].map(([, name = "", number]) => [name, Number(number)]));
}

/**
 * Returns the number in the fifth instruction, which is the first that compares the number of a
 * call with the number of a refused call.
 */
const numberIn = (program: Buffer) => program.readUInt32LE(4 * INSTRUCTION_BYTES + 4);

it.skipIf(missing("gcc") !== undefined).each(["x64", "arm64"] as const)(
  "the numbers for %s are those in the kernel's header",
  (architecture) => {
    const header = HEADERS[architecture];
    // The header for x86-64 does not exist on arm64.
    if (architecture !== process.arch && !existsSync(header)) return;
    const numbers = numbersOf(header);
    const ours = REFUSABLE_CALLS.map((name) => [
      name,
      numberIn(encodeRefusal([name], architecture)),
    ]);
    expect(ours).toEqual(REFUSABLE_CALLS.map((name) => [name, numbers.get(name)]));
  },
);
