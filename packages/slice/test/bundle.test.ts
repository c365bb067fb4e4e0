/** The built program: its commands, messages and exit statuses. */
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import {
  EX_CANTCREAT,
  EX_CONFIG,
  EX_DATAERR,
  EX_IOERR,
  EX_NOINPUT,
  EX_NOPERM,
  EX_UNAVAILABLE,
  EX_USAGE,
} from "@cm4all/command";
import { type BundleCopy, missing } from "@cm4all/testing";
import { snippetsOfManual, snippetsOfText } from "@cm4all/testing/snippets";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { copyProgram, type Result, run } from "./program.ts";

let bundle: BundleCopy;
beforeAll(() => {
  bundle = copyProgram();
});
afterAll(() => {
  bundle[Symbol.dispose]();
});

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "slice-root-"));
});
afterEach(() => {
  rmSync(root, { recursive: true });
});

const inRoot = (path: string) => join(root, path);
const unitPath = (unit: string) => inRoot(`etc/systemd/system/${unit}`);
const slice = (...args: string[]) => run(bundle, args);

function configure(text: string): void {
  mkdirSync(inRoot("etc/cm4all/spawn"), { recursive: true });
  writeFileSync(inRoot("etc/cm4all/spawn/slice.toml"), text);
}

function fails(result: Result, status: number, message: string | RegExp): void {
  expect(result.stderr).toMatch(message);
  expect(result.stderr.trimEnd().split("\n").length).toBe(1);
  expect(result.stdout).toBe("");
  expect(result.status).toBe(status);
}

it("warns about implausible numbers of bytes, in the file and in options, and goes on", () => {
  const file = join(bundle.directory, "slice.toml");
  writeFileSync(file, 'MemoryMax = 2048\n[slice.a]\nMemoryHigh = "512"\n');
  const args = ["generate", "--config", file, "-p", "MemoryLow=7"];
  const { status, stdout, stderr } = run(bundle, args);
  expect(status).toBe(0);
  expect(stdout).toContain("\nMemoryMax=2048\n");
  expect(stderr).toBe(
    "system-cm4all.slice: MemoryMax: 2048 means bytes; did you mean 2048M?\n" +
      "system-cm4all.slice: MemoryLow: 7 means bytes; did you mean 7M?\n" +
      "system-cm4all-a.slice: MemoryHigh: 512 means bytes; did you mean 512M?\n",
  );
});

describe("output that cannot be written", () => {
  /** Runs the program in `root`, with its output redirected by a shell. */
  const redirected = (redirection: string, args: readonly string[]) => {
    const command = `"$@" ${redirection}; exit \${PIPESTATUS[0]}`;
    const { status, stderr } = spawnSync(
      "bash",
      ["-c", command, "bash", process.execPath, bundle.program, ...args],
      { encoding: "utf8", cwd: root, timeout: 20_000 },
    );
    return { status, stderr };
  };

  beforeEach(() => {
    mkdirSync(inRoot("system.slice/system-cm4all.slice"), { recursive: true });
    mkdirSync(inRoot("image"));
  });

  it.each([
    ["directives"],
    ["--help"],
    ["--version"],
    ["help"],
    ["help", "status"],
    ["generate", "--no-config"],
    ["install", "--no-config", "--root", "image"],
    ["install", "--no-config", "--root", "image", "--dry-run"],
    ["remove", "--root", "image"],
    ["status", "--cgroup-root", "."],
    ["status", "--cgroup-root", ".", "--json"],
    ["status", "--cgroup-root", ".", "-n", "0.1"],
    ["status", "--cgroup-root", ".", "-n", "0.1", "--json"],
  ])("is reported in one line by %s, and not at all if nobody reads it", (...args) => {
    expect(redirected(">/dev/full", args)).toEqual({
      status: EX_IOERR,
      stderr: "cm4all-slice: cannot write the output: ENOSPC: no space left on device, write\n",
    });
    expect(redirected("| true", args)).toEqual({ status: 0, stderr: "" });
  });

  it.each([["directives"], ["--help"], ["--version"], ["status", "--cgroup-root", ".", "--json"]])(
    "is reported if there is room for only a part of the last line of %s",
    (...args) => {
      const whole = slice(...args.map((arg) => (arg === "." ? root : arg))).stdout;
      // The limit on the file's size leaves two bytes fewer than the output needs.
      const begin = 'head -c "$1" /dev/zero >full; shift; ulimit -f "$1"; shift';
      const size = Math.ceil(whole.length / 1024) + 1;
      const used = size * 1024 - whole.length + 2;
      const command = ["-c", `${begin}; "$@" >>full`, "bash", `${used}`, `${size}`];
      const { status, stderr } = spawnSync(
        "bash",
        [...command, process.execPath, bundle.program, ...args],
        { encoding: "utf8", cwd: root, timeout: 20_000 },
      );
      expect({ status, stderr }).toEqual({
        status: EX_IOERR,
        stderr: "cm4all-slice: cannot write the output: EFBIG: file too large, write\n",
      });
    },
  );

  it.each([
    [EX_IOERR, ["directives"]],
    [EX_USAGE, ["--bogus"]],
    [EX_USAGE, ["help", "bogus"]],
    [EX_CONFIG, ["generate", "web", "--no-config"]],
  ])("leaves the exit status at %i if messages cannot be written either", (status, args) => {
    expect(redirected(">/dev/full 2>&1", args)).toEqual({ status, stderr: "" });
  });
});

describe("generate", () => {
  it("prints the unit", () => {
    const { status, stdout, stderr } = slice("generate", "--no-config", "-p", "MemoryMax=1G");
    expect(stderr).toBe("");
    expect(status).toBe(0);
    expect(stdout).toMatch(
      /^# Generated .*\[Unit\]\nDescription=CM4all Process Spawner Slice\nBefore=slices\.target\n\n\[Slice\]\nMemoryMax=1G\n$/s,
    );
  });

  it("prints the unit of a nested slice, in which options override the file", () => {
    configure("TasksMax = 7\n[slice.web]\nTasksMax = 5\nCPUWeight = 3\n");
    const { stdout } = slice("generate", "web", "--root", root, "-p", "TasksMax=6");
    expect(stdout).toContain("(web)\n");
    expect(stdout.split("[Slice]\n")[1]).toBe("CPUWeight=3\nTasksMax=6\n");
  });

  it("refuses mistakes on the command line and in the file", () => {
    fails(slice("generate", "-p", "MemoryMax=1g"), EX_USAGE, /: MemoryMax: "1g" is not allowed/);
    fails(slice("generate", "-p", "MemoryMax=1G\nx=y"), EX_USAGE, /"1G\\nx=y" is not allowed/);
    fails(slice("generate", "-p", "ExecStart=x"), EX_USAGE, /: ExecStart: not a known directive/);
    fails(slice("generate", "a b"), EX_USAGE, /: "a b" is not a name/);
    fails(slice("generate", "web", "--no-config"), EX_CONFIG, /-web\.slice is not configured/);
    fails(slice("generate", "a.b", "--no-config"), EX_CONFIG, / a \[slice\.'a\.b'\] in /);
    fails(slice("generate", "--config", inRoot("none")), EX_NOINPUT, /cannot read .*ENOENT/);
    configure("\nMemoryMax = 1.5\n");
    fails(slice("generate", "--root", root), EX_CONFIG, /slice\.toml:2: MemoryMax: expected/);
  });

  it("accepts examples/slice/slice.toml", () => {
    const example = fileURLToPath(new URL("../../../examples/slice/slice.toml", import.meta.url));
    const { status, stderr } = slice("install", "--root", root, "--config", example);
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(readdirSync(inRoot("etc/systemd/system")).length).toBeGreaterThan(1);
  });

  it.each([
    ["README.md", snippetsOfText],
    ["docs/man/slice.toml.5", snippetsOfManual],
  ])("accepts the example in %s", (path, snippetsOf) => {
    const page = readFileSync(new URL(`../../../${path}`, import.meta.url), "utf8");
    const shown = snippetsOf(page).filter(
      ({ language, text }) => language === "toml" && text.includes("[slice.batch]"),
    );
    expect(shown.length).toBe(1);
    configure(`${shown[0]?.text}\n`);
    const { status, stderr } = slice("install", "--root", root);
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(readFileSync(unitPath("system-cm4all-batch.slice"), "utf8")).toContain("CPUWeight=idle");
  });
});

describe("install and remove", () => {
  it("write the units that the file configures, once, and remove them", () => {
    configure("MemoryHigh = '75%'\n[slice.web]\nCPUWeight = 200\n");
    const paths = [unitPath("system-cm4all.slice"), unitPath("system-cm4all-web.slice")];

    const installed = slice("install", "--root", root);
    expect(installed.stdout).toBe(paths.map((path) => `created ${path}\n`).join(""));
    expect(readFileSync(paths[0] ?? "", "utf8")).toContain("MemoryHigh=75%\n");

    const again = slice("install", "--root", root);
    expect(again.stdout).toBe(paths.map((path) => `unchanged ${path}\n`).join(""));

    const changed = slice("install", "--root", root, "-p", "MemoryHigh=50%");
    expect(changed.stdout).toContain(`changed ${paths[0]}\n--- ${paths[0]}\n+++ ${paths[0]}\n@@`);
    expect(changed.stdout).toContain("\n-MemoryHigh=75%\n+MemoryHigh=50%\n");

    const removed = slice("remove", "--root", root);
    expect(removed).toEqual({
      status: 0,
      stdout: paths.map((path) => `removed ${path}\n`).join(""),
      stderr: "",
    });
    expect(readdirSync(inRoot("etc/systemd/system"))).toEqual([]);
    expect(slice("remove", "--root", root).stdout).toBe(`${paths[0]} does not exist\n`);
  });

  it("change nothing in a dry run, and print only a diff", () => {
    const dry = slice("install", "--root", root, "--dry-run");
    expect(dry.stdout).toMatch(/^--- \/dev\/null\n\+\+\+ .*\n@@ -0,0 \+1,6 @@\n\+# Generated/);
    expect(readdirSync(root)).toEqual([]);

    slice("install", "--root", root);
    expect(slice("install", "--root", root, "--dry-run").stdout).toBe("");
    expect(slice("remove", "--root", root, "--dry-run").stdout).toContain("\n+++ /dev/null\n");
    expect(existsSync(unitPath("system-cm4all.slice"))).toBe(true);
  });

  it("touch only the nested slice that is named", () => {
    slice("install", "--root", root);
    slice("install", "web", "--root", root, "-p", "TasksMax=5");
    expect(slice("install", "--root", root).stderr).toBe(
      'note: system-cm4all-web.slice is installed, but not configured; "cm4all-slice remove web" removes it\n',
    );
    slice("remove", "web", "--root", root);
    expect(readdirSync(inRoot("etc/systemd/system"))).toEqual(["system-cm4all.slice"]);
  });

  it("tell which unit of a package they override", () => {
    const package_ = ["--root", root, "--unit-dir", "/usr/lib/systemd/system"];
    const path = inRoot("usr/lib/systemd/system/system-cm4all.slice");
    expect(slice("install", ...package_).stdout).toBe(`created ${path}\n`);
    expect(slice("install", "--root", root).stdout).toContain(`; it overrides ${path}\n`);
    expect(slice("remove", "--root", root).stdout).toContain(`; ${path} takes effect again\n`);
  });

  it("leave a masked unit alone", () => {
    mkdirSync(inRoot("etc/systemd/system"), { recursive: true });
    symlinkSync("/dev/null", unitPath("system-cm4all.slice"));
    const refused = /is a symbolic link to \/dev\/null, so it is left alone; --force/;
    fails(slice("install", "--root", root), EX_CANTCREAT, refused);
    fails(slice("install", "--root", root, "--dry-run"), EX_CANTCREAT, refused);
    fails(slice("remove", "--root", root), EX_CANTCREAT, refused);
    expect(slice("remove", "--root", root, "--force").status).toBe(0);
  });

  it("follow links as they resolve inside the image", () => {
    mkdirSync(inRoot("srv/units"), { recursive: true });
    mkdirSync(inRoot("etc/systemd"), { recursive: true });
    // Resolved on this system, the links would lead out of the image.
    symlinkSync("/srv/units", inRoot("etc/systemd/system"));
    expect(slice("install", "--root", root).status).toBe(0);
    expect(readdirSync(inRoot("srv/units"))).toEqual(["system-cm4all.slice"]);
    expect(slice("remove", "--root", root).status).toBe(0);
    rmSync(inRoot("etc"), { recursive: true });
    symlinkSync("/etc", inRoot("etc"));
    fails(slice("install", "--root", root), EX_IOERR, /cannot read .*ELOOP/);
    fails(slice("install", "--root", inRoot("none")), EX_NOINPUT, /cannot use the root directory/);
    fails(slice("install", "--root", ""), EX_USAGE, /--root: the name is empty/);
  });

  it("report in one line that the configuration is a FIFO or too large", () => {
    const file = inRoot("slice.toml");
    expect(spawnSync("mkfifo", [file]).status).toBe(0);
    const refused = /^cm4all-slice: cannot read .*slice\.toml: it is not a regular file\n$/;
    fails(slice("install", "--root", root, "--config", file), EX_DATAERR, refused);
    mkdirSync(inRoot("etc/cm4all/spawn"), { recursive: true });
    renameSync(file, inRoot("etc/cm4all/spawn/slice.toml"));
    fails(slice("install", "--root", root), EX_DATAERR, refused);
    const large = inRoot("large.toml");
    writeFileSync(large, "");
    truncateSync(large, 1024 ** 3);
    fails(
      slice("install", "--root", root, "--config", large),
      EX_DATAERR,
      /more than 1048576 bytes/,
    );
  });
});

describe.skipIf(missing("root") !== undefined)("without root", () => {
  const nobody = { uid: 65534, gid: 65534 };

  it("everything but the installation on the running system works", () => {
    chownSync(bundle.directory, nobody.uid, nobody.gid);
    chmodSync(bundle.program, 0o444);
    expect(run(bundle, ["generate", "--no-config"], nobody).status).toBe(0);
    fails(
      run(bundle, ["install", "--no-config", "--unit-dir", inRoot("x")], nobody),
      EX_NOPERM,
      /cannot (read|write) .*EACCES: permission denied; try it as root/,
    );
    chownSync(root, nobody.uid, nobody.gid);
    expect(run(bundle, ["install", "--root", root], nobody).status).toBe(0);
  });

  it("a unit is written although an old temporary file belongs to another user", () => {
    for (const path of [root, bundle.directory]) chmodSync(path, 0o755);
    chmodSync(bundle.program, 0o444);
    const units = inRoot("units");
    mkdirSync(units);
    // With the sticky bit, only the owner of a file may remove it.
    chmodSync(units, 0o1777);
    const leftover = ".system-cm4all.slice.0123456789ab.new";
    const own = [0, 1].map((i) => `.system-cm4all.slice.fffffffffff${i}.new`);
    for (const name of [own[0] ?? "", leftover, own[1] ?? ""]) {
      writeFileSync(join(units, name), "rubbish");
      if (name !== leftover) chownSync(join(units, name), nobody.uid, nobody.gid);
      utimesSync(join(units, name), 0, 0);
    }
    const { status, stderr } = run(bundle, ["install", "--no-config", "--unit-dir", units], nobody);
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(readdirSync(units).sort()).toEqual([leftover, "system-cm4all.slice"]);
  });
});

/** Each test has a new mount namespace, an empty unit directory, and a stand-in for systemctl. */
describe.skipIf(missing("root") !== undefined)("on a running system", () => {
  function onSystem(script: string, systemctl: string): Result {
    const bin = inRoot("bin");
    mkdirSync(bin);
    writeFileSync(join(bin, "systemctl"), `#!/bin/sh\n${systemctl}\n`, { mode: 0o755 });
    const setup = `set -e
mount -t tmpfs none /run
mkdir -p /run/systemd/system /etc/systemd/system
mount -t tmpfs none /etc/systemd/system
slice() { "$NODE" "$PROGRAM" "$@"; }
${script}`;
    const env = {
      PATH: `${bin}:/usr/sbin:/usr/bin:/sbin:/bin`,
      NODE: process.execPath,
      PROGRAM: bundle.program,
      LOG: inRoot("log"),
    };
    const args = ["-m", "--propagation", "private", "sh", "-c", setup];
    return spawnSync("unshare", args, { env, encoding: "utf8" });
  }

  const log = () => readFileSync(inRoot("log"), "utf8");

  it("reloads systemd only after a change, and only for directories that systemd reads", () => {
    const { status, stdout, stderr } = onSystem(
      `slice install --no-config
slice install --no-config
slice install --no-config -p TasksMax=5 --dry-run
slice install --no-config --unit-dir "$LOG.d"
slice install --no-config --root "$LOG.d"
slice remove
slice remove`,
      'echo "$@" >>"$LOG"; test "$1" != is-active',
    );
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(stdout.match(/^reloaded systemd$/gm)?.length).toBe(2);
    expect(log()).toBe("daemon-reload\nis-active --quiet system-cm4all.slice\n".repeat(2));
  });

  it("gives an active slice its new limits", () => {
    const { status } = onSystem("slice install --no-config", 'echo "$@" >>"$LOG"');
    expect(status).toBe(0);
    expect(log()).toBe(`daemon-reload
is-active --quiet system-cm4all.slice
set-property --runtime system-cm4all.slice Markers=-needs-restart
`);
  });

  it("tries to apply a change with each install until systemctl succeeds", () => {
    const { status, stdout } = onSystem(
      `slice install --no-config && exit 1
slice install --no-config && exit 1
slice install --no-config
slice install --no-config
test ! -e /run/cm4all-slice.unread`,
      // The first reload fails, and so does the first change of a property.
      'echo "$1" >>"$LOG"; test "$1" = is-active || test "$(grep -c "^$1" "$LOG")" -gt 1',
    );
    expect(status).toBe(0);
    expect(log().split("\n")).toEqual([
      "daemon-reload",
      ...["daemon-reload", "is-active", "set-property"],
      ...["daemon-reload", "is-active", "set-property"],
      "",
    ]);
    expect(stdout).toMatch(/\nreloaded systemd\nunchanged .*\n$/);
  });

  it.each(["daemon-reload", "set-property"])("reports a failure of systemctl %s", (command) => {
    const result = onSystem(
      "slice install --no-config",
      `test "$1" != ${command} || { echo no bus >&2; exit 1; }`,
    );
    expect(result.stderr).toMatch(
      `cm4all-slice: the unit files have been changed, but "systemctl ${command}`,
    );
    expect(result.stderr).toMatch(/" failed: no bus\n$/);
    expect(result.status).toBe(EX_UNAVAILABLE);
  });
});
