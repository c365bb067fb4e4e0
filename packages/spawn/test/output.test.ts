/** Tests what each command that has output does if the output cannot be written. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { EX_DATAERR, EX_IOERR, EX_USAGE } from "@cm4all/command";
import { missing } from "@cm4all/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { AccountingHost } from "./support/accounting.ts";
import { BUNDLE, until } from "./support/daemon.ts";

const FULL = "cm4all-spawn: cannot write the output: ENOSPC: no space left on device, write\n";

describe.skipIf(missing("root", "cgroup2") !== undefined)("output that cannot be written", () => {
  let host: AccountingHost;

  beforeAll(async () => {
    host = new AccountingHost();
    host.writeHandler('say(cgroup.path) error("no luck")');
    await host.start();
    await host.untilReady();
  });
  afterAll(() => host.stop());

  /** Runs a command in a shell, with the daemon's configuration and socket, and a redirection. */
  function run(redirection: string, args: readonly string[]) {
    const { configFile, controlSocket } = host.daemon;
    const command = `"$@" ${redirection}; exit \${PIPESTATUS[0]}`;
    const options = ["--config", configFile, "--control", controlSocket];
    const { status, stderr } = spawnSync(
      "bash",
      ["-c", command, "bash", process.execPath, BUNDLE, ...options, ...args],
      { encoding: "utf8", timeout: 20_000 },
    );
    return { status, stderr };
  }

  it.each([
    "--help",
    "--version",
    "help",
    "help status",
    "accounting help list",
    "--check-config",
    "check",
    "status",
    "status --json",
    "status --watch",
    "status --watch --json",
    "list",
    "list --json",
    "purge-namespaces --all",
    "purge-namespaces --all --json",
    "reload",
    "accounting list",
    "accounting list --json",
    "accounting retry --all",
  ])("is reported in one line by %s, but not if nobody reads it", (command) => {
    const args = command.split(" ");
    expect(run(">/dev/full", args)).toEqual({ status: EX_IOERR, stderr: FULL });
    expect(run("| true", args)).toEqual({ status: 0, stderr: "" });
  });

  it("is reported after the log line of measure", () => {
    const { status, stderr } = run(">/dev/full", ["measure", "a.scope"]);
    expect(stderr.replace(/^a\.scope: .*\n/, "")).toBe(FULL);
    expect(status).toBe(EX_IOERR);
  });

  it("is reported when the command reads the records from the journal's files", () => {
    const files = ["--control", "", "--journal", mkdtempSync(join(host.directory, "journal-"))];
    for (const list of [["list"], ["list", "--json"]]) {
      const args = [...files, "accounting", ...list];
      expect(run(">/dev/full", args)).toEqual({ status: EX_IOERR, stderr: FULL });
      expect(run("| true", args)).toEqual({ status: 0, stderr: "" });
    }
  });

  describe("by a script", () => {
    const tried = (body: string, redirection = ">/dev/full") => {
      const script = join(host.directory, "tried.lua");
      writeFileSync(script, `function cgroup_released(cgroup) ${body} end`);
      return run(redirection, ["lua", script, "--cgroup", "a.scope"]);
    };

    it.each([
      "for i = 1, 3 do print(i) end",
      "assert(select('#', io.write('a\\n')) == 3)",
      "io.write('a')",
    ])("is reported after %s, and the handler goes on", (body) => {
      const { status, stderr } = tried(`${body} io.stderr:write('done\\n')`);
      expect(stderr.split(/(?<=\n)/).sort()).toEqual([FULL, "done\n"]);
      expect(status).toBe(EX_IOERR);
    });

    it("is not reported if text without a newline at its end has been written", () => {
      const unended = "io.write('a') io.stderr:write('b')";
      expect(tried(unended, "1>&2")).toEqual({ status: 0, stderr: "ab" });
      expect(tried(`${unended} os.exit(0)`, "1>&2").stderr).toMatch(/^abcm4all-spawn: /);
    });

    it("is reported when the script ends its process", () => {
      const { status, stderr } = tried("io.write('a') os.exit(3)");
      expect(stderr).toBe(`${FULL}cm4all-spawn: the script host ended: exit status 3\n`);
      expect(status).toBe(EX_DATAERR);
    });

    it("is not reported if nobody reads it", () => {
      expect(tried("os.execute('sleep 0.3') print(1)", "| true")).toEqual({
        status: 0,
        stderr: "",
      });
    });

    it("does not change the exit status if the handler fails", () => {
      const { status, stderr } = tried("print(1) error('no luck', 0)");
      expect(stderr).toContain(FULL);
      expect(stderr).toContain("no luck");
      expect(status).toBe(EX_DATAERR);
    });
  });

  it("does not keep a command from doing its work", async () => {
    await host.scratch.runToEnd("a.scope/job", "true");
    await until(async () => (await host.records())[0]?.state === "parked", "a record is parked");
    const [{ number } = { number: -1 }] = await host.records();
    // The exit status for the daemon's state takes precedence: a parked record degrades the daemon.
    expect(run(">/dev/full", ["status"])).toEqual({ status: 1, stderr: FULL });
    for (const words of [
      "show ID",
      "show --json ID",
      "list",
      "list --json",
      "retry ID",
      "drop ID",
    ]) {
      const args = ["accounting", ...words.replace("ID", String(number)).split(" ")];
      expect(run(">/dev/full", args)).toEqual({ status: EX_IOERR, stderr: FULL });
      const isCalled = async () => ["parked", undefined].includes((await host.records())[0]?.state);
      await until(isCalled, "its handler has been called");
    }
    expect(await host.records()).toEqual([]);
  });

  it("does not change the exit status of a failure whose message cannot be written either", () => {
    const full = (...args: string[]) => run(">/dev/full 2>&1", args);
    expect(full("--bogus")).toEqual({ status: EX_USAGE, stderr: "" });
    expect(full("bogus")).toEqual({ status: EX_USAGE, stderr: "" });
    expect(full("help", "bogus")).toEqual({ status: EX_USAGE, stderr: "" });
    expect(full("accounting", "show", "bogus")).toEqual({ status: EX_DATAERR, stderr: "" });
    expect(full("list")).toEqual({ status: EX_IOERR, stderr: "" });
  });
});
