import { describe, expect, it } from "vitest";
import { hostArchitecture } from "../../dev/architecture.mjs";
import { elfMachine } from "../elf.mjs";

describe("the architecture for which the suite is built", () => {
  it("is this machine's, unless dpkg-buildpackage sets another one", () => {
    expect(hostArchitecture({})).toBe(process.arch);
    expect(hostArchitecture({ DEB_HOST_ARCH: "" })).toBe(process.arch);
    expect(hostArchitecture({ DEB_HOST_ARCH: "amd64" })).toBe("x64");
    expect(hostArchitecture({ DEB_HOST_ARCH: "arm64" })).toBe("arm64");
  });

  it("is refused if it is neither amd64 nor arm64", () => {
    expect(() => hostArchitecture({ DEB_HOST_ARCH: "s390x" })).toThrow(
      "DEB_HOST_ARCH=s390x: the suite is built for amd64 and arm64",
    );
  });
});

describe("the machine of an ELF file", () => {
  const header = (data: number, ...machine: number[]) =>
    Buffer.from([0x7f, 0x45, 0x4c, 0x46, 2, data, ...Array(12).fill(0), ...machine]);

  it("is read in the byte order of the file", () => {
    expect(elfMachine(header(1, 183, 0))).toBe(183);
    expect(elfMachine(header(2, 0, 22))).toBe(22);
  });

  it("is undefined if the file is not an ELF file or is too short", () => {
    expect(elfMachine(Buffer.from("#!/usr/bin/node\n// 20 bytes and more"))).toBeUndefined();
    expect(elfMachine(header(1, 183))).toBeUndefined();
    expect(elfMachine(Buffer.alloc(0))).toBeUndefined();
  });
});
