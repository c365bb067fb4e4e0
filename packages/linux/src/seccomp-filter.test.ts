import { describe, expect, it } from "vitest";
import { encodeRefusal } from "./seccomp-filter.ts";

/** The size of `struct sock_filter`. */
const INSTRUCTION_BYTES = 8;
const ALLOW = 0x7fff0000;
const EPERM = 0x00050001;
const ENOSYS = 0x00050026;
const X86_64 = 0xc000003e;
const AARCH64 = 0xc00000b7;
const I386 = 0x40000003;

/** Runs a program as the kernel does; knows only the instructions that encodeRefusal writes. */
function run(program: Buffer, arch: number, number: number, argument = 0n): number {
  const data = Buffer.alloc(64);
  data.writeUInt32LE(number, 0);
  data.writeUInt32LE(arch, 4);
  data.writeBigUInt64LE(argument, 16);
  let loaded = 0;
  for (let at = 0; ; at += INSTRUCTION_BYTES) {
    const code = program.readUInt16LE(at);
    const value = program.readUInt32LE(at + 4);
    const jump = (isTrue: boolean) => {
      at += INSTRUCTION_BYTES * program.readUInt8(at + (isTrue ? 2 : 3));
    };
    if (code === 0x20) loaded = data.readUInt32LE(value);
    else if (code === 0x15) jump(loaded === value);
    else if (code === 0x35) jump(loaded >= value);
    else if (code === 0x45) jump((loaded & value) !== 0);
    else if (code === 0x06) return value;
    else throw new Error(`instruction ${code}`);
  }
}

describe("encodeRefusal", () => {
  const x64 = encodeRefusal(["mount", "ptrace"], "x64");
  const arm64 = encodeRefusal(["mount", "ptrace"], "arm64");

  it("refuses the given calls, by the numbers of the architecture", () => {
    for (const [program, arch, refused] of [
      [x64, X86_64, [165, 101]],
      [arm64, AARCH64, [40, 117]],
    ] as const) {
      const seen = Array.from({ length: 500 }, (_, number) => number).filter(
        (number) => run(program, arch, number) === EPERM,
      );
      expect(seen.sort()).toEqual([...refused].sort());
    }
  });

  it("refuses other ABIs", () => {
    expect(run(x64, I386, 1)).toBe(EPERM);
    // The first number of the x32 ABI.
    expect(run(x64, X86_64, 0x40000000)).toBe(EPERM);
    expect(run(x64, X86_64, 0x3fffffff)).toBe(ALLOW);
    expect(run(arm64, X86_64, 1)).toBe(EPERM);
  });

  it("allows new threads and children, and refuses new namespaces", () => {
    const THREAD = 0x3d0f00n;
    const FORK = 0x1200011n;
    for (const [program, arch, clone] of [
      [x64, X86_64, 56],
      [arm64, AARCH64, 220],
    ] as const) {
      for (const flags of [THREAD, FORK]) expect(run(program, arch, clone, flags)).toBe(ALLOW);
      // mnt, cgroup, uts, ipc, user, pid, net
      for (const bit of [17n, 25n, 26n, 27n, 28n, 29n, 30n])
        expect(run(program, arch, clone, FORK | (1n << bit))).toBe(EPERM);
      expect(run(program, arch, 435)).toBe(ENOSYS);
    }
  });
});
