import { readlinkSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { check, errnoName, errorText, isErrno, isShortage, SyscallError } from "./errors.ts";

describe("SyscallError", () => {
  it("names the call, its arguments and the errno", () => {
    const error = new SyscallError("mount", 1, { target: "/x", type: undefined });
    expect(error.message).toBe('mount(target="/x"): EPERM: operation not permitted');
    expect(error.code).toBe("EPERM");
    expect(isErrno(error, "ENOENT", "EPERM")).toBe(true);
    expect(isErrno(new Error("EPERM"), "EPERM")).toBe(false);
  });

  it("has the properties of Node's own system errors", () => {
    let theirs: unknown;
    try {
      readlinkSync("");
    } catch (error) {
      theirs = error;
    }
    const ours = new SyscallError("readlink", 2, { path: "" }, "it has no name");
    const { errno, code, syscall } = ours;
    expect(theirs).toMatchObject({ errno, code, syscall });
    expect(ours).toMatchObject({ name: "SyscallError", args: { path: "" } });
    expect(ours.message).toMatch(/^readlink\(path=""\): ENOENT: .* \(it has no name\)$/);
  });

  it("shows numbers among its arguments as they are", () => {
    expect(new SyscallError("close", 9, { fd: 7 }).message).toMatch(/^close\(fd=7\): EBADF: /);
  });

  it("is thrown by check only for a negated errno", () => {
    expect(check(0, "x")).toBe(0);
    expect(() => check(-2, "open")).toThrow("ENOENT");
  });

  it("supports numbers without a name", () => {
    expect(errnoName(9999)).toBe("errno 9999");
    // Node's constants lack some names, and libuv's messages lack others.
    expect([8, 108, 112].map(errnoName)).toEqual(["ENOEXEC", "ESHUTDOWN", "EHOSTDOWN"]);
  });
});

it("a lack of descriptors or memory is a shortage, and a full disk is not", () => {
  const failures = [23, 24, 12, 28].map((errno) => new SyscallError("open", errno));
  expect(failures.map(({ code }) => code)).toEqual(["ENFILE", "EMFILE", "ENOMEM", "ENOSPC"]);
  expect(failures.map(isShortage)).toEqual([true, true, true, false]);
});

it("errorText returns a text for anything that is thrown", () => {
  expect(errorText(new RangeError("too far"))).toBe("too far");
  expect(errorText("a string")).toBe("a string");
  expect(errorText(undefined)).toBe("undefined");
});
