import { describe, expect, it } from "vitest";
import { check, errnoName, isErrno, SyscallError } from "./errors.ts";

describe("SyscallError", () => {
  it("names the call, its arguments and the errno", () => {
    const error = new SyscallError("mount", 1, { target: "/x", type: undefined });
    expect(error.message).toBe('mount(target="/x"): EPERM: operation not permitted');
    expect(error.code).toBe("EPERM");
    expect(isErrno(error, "ENOENT", "EPERM")).toBe(true);
    expect(isErrno(new Error("EPERM"), "EPERM")).toBe(false);
  });

  it("is thrown by check only for a negated errno", () => {
    expect(check(0, "x")).toBe(0);
    expect(() => check(-2, "open")).toThrow("ENOENT");
  });

  it("supports numbers without a name", () => {
    expect(errnoName(9999)).toBe("errno 9999");
    expect(errnoName(8)).toBe("ENOEXEC");
  });
});
