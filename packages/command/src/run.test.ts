import { Command } from "commander";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { CommandFailure } from "./failure.ts";
import { runCommand } from "./run.ts";
import { EX_CONFIG, EX_OSERR, EX_SOFTWARE, EX_USAGE } from "./sysexits.ts";

let printed = "";
let outputListeners: ReturnType<typeof process.stdout.listeners>;

beforeEach(() => {
  printed = "";
  outputListeners = process.stdout.listeners("error");
  vi.spyOn(console, "error").mockImplementation((line: string) => {
    printed += line;
  });
});
afterEach(() => {
  vi.restoreAllMocks();
  // Each command adds listeners that stay until the process ends, and this process runs many.
  for (const listener of process.stdout.listeners("error"))
    if (!outputListeners.includes(listener)) process.stdout.off("error", listener as () => void);
  process.exitCode = undefined;
});

async function run(action: () => void, ...args: string[]): Promise<number | string | undefined> {
  const program = new Command("tool").version("1.2.3");
  program.command("act").action(action);
  const output = (text: string) => {
    printed += text;
  };
  for (const command of [program, ...program.commands])
    command.configureOutput({ writeErr: output, writeOut: output });
  await runCommand(program, ["node", "tool", ...args]);
  return process.exitCode ?? undefined;
}

const nothing = () => {};

describe("runCommand", () => {
  it("runs the action and leaves the exit status alone", async () => {
    const action = vi.fn();
    expect(await run(action, "act")).toBeUndefined();
    expect(action).toHaveBeenCalledOnce();
    expect(printed).toBe("");
  });

  it("prints messages without characters that could control the terminal", async () => {
    const fail = () => {
      throw new CommandFailure("no\u001b[2J\n\tat all\r", EX_CONFIG);
    };
    expect(await run(fail, "act")).toBe(EX_CONFIG);
    expect(printed).toBe("tool: no\\x1b[2J\n\tat all\\x0d");
    printed = "";
    expect(await run(nothing, "act", "\u009b2J")).toBe(EX_USAGE);
    expect(printed).not.toContain("\u009b");
    printed = "";
    expect(await run(nothing, "\u009b2J")).toBe(EX_USAGE);
    expect(printed).not.toContain("\u009b");
  });

  it.each([["--help"], ["--version"], ["act", "--help"], ["help"], ["help", "act"]])(
    "ends with 0 after %j",
    async (...args) => {
      expect(await run(nothing, ...args)).toBe(0);
      expect(printed).not.toBe("");
    },
  );

  it.each([[], ["bogus"], ["--bogus"], ["act", "--bogus"], ["act", "surplus"]])(
    "ends with EX_USAGE after %j",
    async (...args) => {
      expect(await run(nothing, ...args)).toBe(EX_USAGE);
      expect(printed).not.toBe("");
    },
  );

  it.each([
    [
      ["--verson"],
      "tool: unknown option '--verson' (did you mean --version?)\nTry \"tool --help\".\n",
    ],
    [["act", "-x"], "tool: unknown option '-x'\nTry \"tool act --help\".\n"],
    [["akt"], "tool: unknown command 'akt' (did you mean act?)\nTry \"tool --help\".\n"],
    [["help", "akt"], "tool: unknown command 'akt' (did you mean act?)\nTry \"tool --help\".\n"],
  ])("names the program that refuses %j, and how to get help", async (args, message) => {
    expect(await run(nothing, ...args)).toBe(EX_USAGE);
    expect(printed).toBe(message);
  });

  it("prints an expected failure as one line", async () => {
    const fail = () => {
      throw new CommandFailure("the file is wrong", EX_CONFIG);
    };
    expect(await run(fail, "act")).toBe(EX_CONFIG);
    expect(printed).toBe("tool: the file is wrong");
  });

  it.each(["EACCES", "EAGAIN", "EMFILE", "ENOENT", "ENOMEM", "ENOSPC", "EPERM", "EROFS"])(
    "prints one line if the system refuses a call with %s",
    async (code) => {
      const fail = () => {
        throw Object.assign(new Error(`${code}: no`), { code });
      };
      expect(await run(fail, "act")).toBe(EX_OSERR);
      expect(printed).toBe(`tool: ${code}: no`);
    },
  );

  it("prints one line if the system refuses to start a thread", async () => {
    const fail = () => {
      throw Object.assign(new Error("EAGAIN"), { code: "ERR_WORKER_INIT_FAILED" });
    };
    expect(await run(fail, "act")).toBe(EX_OSERR);
    expect(printed).toBe("tool: cannot run a thread: EAGAIN");
  });

  it.each(["EBADF", "EFAULT", "EINVAL", "ENOTSOCK", "ERR_INVALID_ARG_TYPE"])(
    "prints the stack of a call that was wrong (%s)",
    async (code) => {
      const fail = () => {
        throw Object.assign(new Error("no"), { code });
      };
      expect(await run(fail, "act")).toBe(EX_SOFTWARE);
      expect(printed).toMatch(/^tool: Error: no\n {4}at /);
    },
  );

  it("prints the stack of a defect", async () => {
    const fail = () => {
      throw new TypeError("oops");
    };
    expect(await run(fail, "act")).toBe(EX_SOFTWARE);
    expect(printed).toMatch(/^tool: TypeError: oops\n {4}at /);
  });
});
