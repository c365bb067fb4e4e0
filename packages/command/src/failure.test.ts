import { expect, it } from "vitest";
import { CommandFailure, explainDefect, explainFailure } from "./failure.ts";

const withCode = (code: unknown, message = "what failed") =>
  Object.assign(new Error(message), { code });

it("prints an expected failure as it is, with its status", () => {
  const failure = new CommandFailure("no such name", 66);
  expect(explainFailure(failure)).toEqual({ message: "no such name", exitStatus: 66 });
});

it.each(["EPERM", "EMFILE", "ENOSYS"])(
  "prints only the message if the system has refused a call with %s",
  (code) => {
    expect(explainFailure(withCode(code))).toEqual({ message: "what failed", exitStatus: 71 });
  },
);

it.each(["ERR_WORKER_INIT_FAILED", "ERR_WORKER_OUT_OF_MEMORY"])(
  "says that a thread cannot run: %s",
  (code) => {
    expect(explainFailure(withCode(code))).toEqual({
      message: "cannot run a thread: what failed",
      exitStatus: 71,
    });
  },
);

it.each(["EBADF", "EFAULT", "EINVAL", "ENOTSOCK", "ERR_OTHER", 5])(
  "takes an error with the code %s for a defect",
  (code) => {
    const error = withCode(code);
    expect(explainFailure(error)).toEqual({ message: error.stack, exitStatus: 70 });
  },
);

it("prints defects with their stack, even if they are system errors or no errors at all", () => {
  const error = withCode("EPERM");
  expect(explainDefect(error)).toEqual({ message: error.stack, exitStatus: 70 });
  expect(explainFailure("a string")).toEqual({ message: "a string", exitStatus: 70 });
  expect(explainFailure({ code: "EPERM" })).toMatchObject({ exitStatus: 70 });
  expect(explainFailure(undefined)).toEqual({ message: "undefined", exitStatus: 70 });
});
