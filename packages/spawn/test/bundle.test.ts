import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { copyBundle, missing } from "@cm4all/testing";
import { describe, expect, it, onTestFinished } from "vitest";
import { BUNDLE, NODE_OPTIONS, TestDaemon } from "./support/daemon.ts";

const dist = dirname(BUNDLE);
const addons = readdirSync(dist).filter((name) => name.endsWith(".node"));

/** Runs a copy of the bundle, in a directory that contains nothing but the given addons. */
function run(args: readonly string[], options: { uid?: number } = {}, besides = addons) {
  using copy = copyBundle(
    BUNDLE,
    besides.map((name) => join(dist, name)),
  );
  // An unprivileged user has to be able to read the copy.
  spawnSync("chmod", ["-R", "a+rX", copy.directory]);
  return spawnSync(process.execPath, [copy.program, ...args], {
    cwd: "/",
    encoding: "utf8",
    ...options,
  });
}

describe("the bundle", () => {
  it.skipIf(missing("gcc") !== undefined)("has two addons beside it", () => {
    expect(addons).toEqual([
      `ffi-rs.linux-${process.arch}-gnu.node`,
      `syscall.linux-${process.arch}.node`,
    ]);
  });

  it("shows version and help", () => {
    expect(run(["--version"]).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
    const { stdout, status } = run(["--help"]);
    expect(status).toBe(0);
    expect(stdout).toContain("purge-namespaces");
  });

  it("is executable: its first line keeps V8 from collecting garbage in threads of its own", () => {
    expect(NODE_OPTIONS).toContain("--single-threaded-gc");
    const PATH = `${dirname(process.execPath)}:${process.env["PATH"] ?? ""}`;
    const { stdout } = spawnSync(BUNDLE, ["--version"], { encoding: "utf8", env: { PATH } });
    expect(stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  });

  it.skipIf(missing("root", "catatonit") !== undefined)(
    "runs under its own name as a daemon",
    async () => {
      const daemon = await TestDaemon.start();
      onTestFinished(() => daemon.stop());
      expect(readFileSync(`/proc/${daemon.child.pid}/comm`, "latin1")).toBe("cm4all-spawn\n");
    },
  );

  it("refuses a wrong command line and a wrong configuration in one line", () => {
    const usage = run(["--nonsense"]);
    expect(usage.status).toBe(64);
    const config = run(["--check-config", "--config", "/nonexistent.toml"]);
    expect(config.status).toBe(66);
    expect(config.stderr).toMatch(/^cm4all-spawn: cannot read the configuration: .*\n$/);
  });

  it("reports that the daemon is not running", () => {
    const { stderr, status } = run(["--control", "/nonexistent/socket", "list"]);
    expect(status).toBe(69);
    expect(stderr).toMatch(/^cm4all-spawn: the daemon is not running .*\n$/);
  });

  it.skipIf(missing("root") !== undefined).each([
    ["", addons],
    [", even without the project's own addon", addons.filter((name) => name.startsWith("ffi-rs"))],
  ])("reports in one line that it needs root%s", (_, besides) => {
    const { stderr, status } = run(["--config", "/dev/null"], { uid: 65534 }, besides);
    expect(stderr).toBe("cm4all-spawn: must be started as root: it creates namespaces\n");
    expect(status).toBe(77);
  });

  it.skipIf(missing("root") !== undefined)(
    "reports in one line that it needs CAP_SYS_ADMIN",
    () => {
      const args = ["--bounding-set=-sys_admin", process.execPath, BUNDLE, "--config", "/dev/null"];
      const { stderr, status } = spawnSync("setpriv", args, { encoding: "utf8" });
      expect(stderr).toBe("cm4all-spawn: needs CAP_SYS_ADMIN: it creates namespaces\n");
      expect(status).toBe(77);
    },
  );
});
