import { constants } from "node:os";
import { SyscallError } from "@cm4all/linux";
import { expect, it } from "vitest";
import { errorKey, hasRunShort, isSystemError, Refusal } from "./errors.ts";

const { errno } = constants;
const failure = (code: keyof typeof errno) => new SyscallError("unshare", errno[code]);

it.each(["EMFILE", "ENFILE", "ENOMEM", "ENOSPC"] as const)(
  "%s says that something has run short",
  (code) => {
    expect(hasRunShort(failure(code))).toBe(true);
  },
);

it("other failures do not", () => {
  expect(hasRunShort(failure("EPERM"))).toBe(false);
  expect(hasRunShort(new Error("ENOSPC"))).toBe(false);
});

it("the key of a failed call has no arguments", () => {
  expect(errorKey(failure("EPERM"))).toBe("unshare EPERM");
  const ofNode = Object.assign(new Error("ENOENT: open '/a'"), { syscall: "open", code: "ENOENT" });
  expect(errorKey(ofNode)).toBe("open ENOENT");
});

it("the key of any other error is its message", () => {
  expect(errorKey(new Refusal("no such name"))).toBe("no such name");
  expect(errorKey(Object.assign(new Error("half"), { code: "ERR_HALF" }))).toBe("half");
  expect(errorKey(Object.assign(new Error("half"), { syscall: "open" }))).toBe("half");
});

it("distinguishes errors of system calls from others", () => {
  expect(isSystemError(failure("EPERM"))).toBe(true);
  expect(isSystemError(Object.assign(new Error(), { syscall: "open" }))).toBe(true);
  expect(isSystemError(new Refusal("no such name"))).toBe(false);
  expect(isSystemError({ syscall: "open" })).toBe(false);
});
