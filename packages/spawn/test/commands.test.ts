/** Tests the commands for authors of scripts: check, measure, lua. */
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { missing, ScratchCgroup } from "@cm4all/testing";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { BUNDLE } from "./support/daemon.ts";

describe.skipIf(missing("root", "cgroup2") !== undefined)("commands", () => {
  let scratch: ScratchCgroup;
  let directory: string;
  const script = () => join(directory, "script.lua");

  function run(...args: string[]) {
    const config = join(directory, "spawn.toml");
    writeFileSync(
      config,
      `[reaper]\ncgroup_root = "${scratch.path}"\n[accounting]\njournal = "${directory}/journal"\nscript = "${script()}"\nuser = "root"\n`,
    );
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      [BUNDLE, "--config", config, ...args],
      { encoding: "utf8" },
    );
    return { status, stdout, stderr };
  }

  /** Writes a configuration with these lines in it, and returns its path. */
  function configure(reaper: string, accounting = ""): string {
    const file = join(directory, "other.toml");
    const root = `cgroup_root = "${scratch.path}"`;
    writeFileSync(file, `[accounting]\n${accounting}\n[reaper]\n${root}\n${reaper}\n`);
    return file;
  }

  beforeEach(async () => {
    scratch = new ScratchCgroup();
    await scratch.runToEnd("a/job", "i=0; while [ $i -lt 1000 ]; do i=$((i+1)); done");
    directory = mkdtempSync(join(tmpdir(), "commands-"));
  });
  afterEach(async () => {
    await scratch.remove();
    rmSync(directory, { recursive: true });
  });

  it("check reports that there are no mistakes, or what is wrong", () => {
    writeFileSync(script(), "function cgroup_released(c) end");
    expect(run("check")).toEqual({
      status: 0,
      stdout: [
        `${join(directory, "spawn.toml")}: no mistakes found`,
        "none of the scopes exists now: no spawner is running, or its scope is missing from reaper.extra_scopes",
        `${script()}: no mistakes found\n`,
      ].join("\n"),
      stderr: "",
    });
    writeFileSync(script(), "x = 1");
    expect(run("check").stdout).toContain("function 'cgroup_released' not found");
    writeFileSync(script(), "\nerror('boom')");
    expect(run("check")).toMatchObject({ status: 78, stderr: expect.stringContaining(":2: boom") });
    rmSync(script());
    expect(run("check")).toMatchObject({ status: 78, stderr: expect.stringContaining(script()) });
  });

  it("check reports which scopes exist, and whether the address of the metrics can be used", async () => {
    const taken = createServer().listen(0, "127.0.0.1");
    await once(taken, "listening");
    const address = taken.address();
    const port = typeof address === "object" ? address?.port : undefined;
    mkdirSync(join(scratch.path, "a/x.scope"));
    const checked = (listen: string) =>
      run(
        "--config",
        configure(`extra_scopes = ["*/x.scope", "b/*"]\n[metrics]\nlisten = "${listen}"`),
        "check",
      ).stdout;
    try {
      const text = checked(`127.0.0.1:${port}`);
      expect(text).toContain("\nscopes that exist now: a/x.scope\n");
      expect(text).toContain(`\nmetrics.listen: 127.0.0.1:${port} is in use: by the daemon if`);
    } finally {
      taken.close();
    }
    expect(checked("192.0.2.77:10469")).toMatch(
      /\nmetrics.listen: 192.0.2.77:10469 cannot be used now; .*EADDRNOTAVAIL/,
    );
    expect(checked("127.0.0.1:0")).not.toContain("metrics.listen");
  });

  it.each([
    ["[namespaces]\nlisten", "FILE/socket", "FILE is not a directory"],
    ["[namespaces]\nlisten", "DIRECTORY/missing/socket", "ENOENT"],
    ["[namespaces]\nlisten", "FILE", "FILE exists and is not a socket"],
    ["[namespaces]\nlisten", "/proc/socket", undefined],
    ["[control]\nsocket", "FILE/a/socket", "FILE is not a directory"],
    ["[control]\nsocket", "DIRECTORY", "DIRECTORY exists and is not a socket"],
    ["[control]\nsocket", "DIRECTORY/a/b/socket", undefined],
    [
      "[control]\nsocket",
      `/${"x".repeat(107)}`,
      "a socket address must have 1 to 107 bytes, not 108",
    ],
    [
      "[metrics]\nlisten",
      `/${"x".repeat(107)}`,
      "a socket address must have 1 to 107 bytes, not 108",
    ],
    ["[metrics]\nlisten", "DIRECTORY/missing/socket", "ENOENT"],
    ["[accounting]\njournal", "FILE", "FILE is not a directory"],
    ["[accounting]\njournal", "FILE/a/b", "FILE is not a directory"],
    ["[accounting]\njournal", "DIRECTORY/a/b", undefined],
  ])("check, but not --check-config, looks at the path %s = %s", (key, place, mistake) => {
    const fill = (text: string) =>
      text.replace("FILE", join(directory, "file")).replace("DIRECTORY", directory);
    writeFileSync(join(directory, "file"), "");
    const config = join(directory, "places.toml");
    writeFileSync(config, `${key} = "${fill(place)}"\n`);
    expect(run("--config", config, "--check-config")).toMatchObject({ status: 0, stderr: "" });
    const { status, stdout, stderr } = run("--config", config, "check");
    const name = key.replace(/\[(.*)\]\n/, "$1.");
    if (mistake === undefined) expect(stderr).not.toContain(name);
    else {
      expect(stderr).toContain(`cm4all-spawn: ${name}: `);
      expect(stderr).toContain(fill(mistake));
      expect({ status, stdout }).toEqual({ status: 78, stdout: "" });
    }
  });

  it("check by another user reports nothing about paths that only root can look at", () => {
    chmodSync(directory, 0o755);
    writeFileSync(script(), "function cgroup_released(c) end");
    const closed = join(directory, "closed");
    mkdirSync(closed, { mode: 0o700 });
    const config = configure(
      "",
      `script = "${script()}"\n[control]\nsocket = "${closed}/s"\n[metrics]\nlisten = "${closed}/a/m"`,
    );
    const { status, stderr } = spawnSync(
      "setpriv",
      [
        ...["--reuid=65534", "--regid=65534", "--clear-groups", process.execPath],
        ...[BUNDLE, "--config", config, "check"],
      ],
      { encoding: "utf8" },
    );
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  });

  it("check does not require the directory that the service creates for its sockets", () => {
    chmodSync(directory, 0o755);
    const checked = (listen: string) => {
      writeFileSync(script(), "function cgroup_released(c) end");
      const accounting = `script = "${script()}"\nuser = "nobody"\n`;
      const config = configure("", `${accounting}[namespaces]\nlisten = "${listen}"`);
      return spawnSync(
        "unshare",
        [
          ...["--mount", "sh", "-c", 'mount -t tmpfs none /run && exec "$@"', "sh"],
          ...[process.execPath, BUNDLE, "--config", config, "check"],
        ],
        { encoding: "utf8" },
      );
    };
    expect(checked("/run/cm4all-spawn/requests")).toMatchObject({ status: 0 });
    expect(checked("/run/other/requests")).toMatchObject({
      status: 78,
      stderr: expect.stringContaining("namespaces.listen: ENOENT"),
    });
  });

  it("lua prints no control characters in messages about a script", () => {
    const named = join(directory, "a\x1b[2J.lua");
    writeFileSync(named, "x = 1");
    const { stderr } = run("lua", named, "--cgroup", "a/job");
    expect(stderr).toContain("function 'cgroup_released' not found");
    expect(stderr).not.toContain("\x1b");
  });

  it("check and lua report who has to be able to read the script; lua runs it as that user", () => {
    chmodSync(directory, 0o755);
    writeFileSync(script(), 'function cgroup_released(c) print(io.popen("id -un"):read()) end');
    const asNobody = (...args: string[]) =>
      run("--config", configure("", `script = "${script()}"\nuser = "nobody"`), ...args);
    expect(asNobody("lua", script(), "--cgroup", "a/job")).toMatchObject({
      status: 0,
      stdout: "nobody\n",
    });
    chmodSync(script(), 0o600);
    const problem =
      "Permission denied (the script runs as the user nobody, who has to be able to read it)";
    for (const [args, status] of [
      [["check"], 78],
      [["lua", script(), "--cgroup", "a/job"], 65],
    ] as const)
      expect(asNobody(...args)).toMatchObject({ status, stderr: expect.stringContaining(problem) });
  });

  it("measure shows the figures and the log line of a cgroup, and lua accepts the output", () => {
    const measured = run("measure", "/a/job");
    expect(measured.status).toBe(0);
    expect(measured.stderr).toMatch(/^\/a\/job: cpu=/);
    const recorded = join(directory, "recorded.json");
    writeFileSync(recorded, measured.stdout);
    writeFileSync(script(), "function cgroup_released(c) print(c.path, c.cpu_total > 0) end");
    expect(run("lua", script(), "--recorded", recorded)).toEqual({
      status: 0,
      stdout: "/a/job\ttrue\n",
      stderr: "",
    });
  });

  it("lua accepts recorded attributes, and records of earlier versions without attributes", () => {
    const recorded = join(directory, "recorded.json");
    const snapshot = { path: "/a/b", id: "boot:1", report: 1, measuredMs: 1500 };
    const xattrs = [[["user.account", "foo"]], [["user.account", "bar"]]];
    writeFileSync(
      script(),
      "function cgroups_released(list) local c = list[1] print(#list, c.measured, c.xattr.account, c.parent.xattr.account) end",
    );
    writeFileSync(recorded, JSON.stringify({ snapshot, xattrs }));
    expect(run("lua", script(), "--recorded", recorded).stdout).toBe("1\t1.5\tfoo\tbar\n");
    writeFileSync(recorded, JSON.stringify(snapshot));
    expect(run("lua", script(), "--recorded", recorded).stdout).toBe("1\t1.5\tnil\tnil\n");
    writeFileSync(recorded, JSON.stringify({ snapshot }));
    expect(run("lua", script(), "--recorded", recorded)).toMatchObject({
      status: 65,
      stderr: expect.stringContaining("not a record of a cgroup"),
    });
  });

  it("lua runs the handler with a cgroup's current figures, and does not delete the cgroup", () => {
    writeFileSync(script(), "function cgroup_released(c) print(c.path) end");
    for (const path of ["/a/job", "a/job", `${scratch.path}/a/job`])
      expect(run("lua", script(), "--cgroup", path)).toMatchObject({
        status: 0,
        stdout: "/a/job\n",
      });
  });

  it("names of cgroups and the environment of scripts may contain any bytes", async () => {
    mkdirSync(Buffer.from(`${scratch.path}/M\xfc`, "latin1"));
    writeFileSync(
      script(),
      "function cgroup_released(c) io.write(c.path, os.getenv('B'), os.getenv('N\\228'))" +
        " io.write(io.popen('printf %s \"$B\"'):read(), tostring(os.getenv('CM4ALL_ENVIRONMENT'))) end",
    );
    run("check");
    const command = [process.execPath, BUNDLE, "--config", join(directory, "spawn.toml")];
    const shell = (words: string) =>
      spawnSync(
        "/bin/sh",
        [
          "-c",
          `exec env "B=$(printf 'v\\374')" "$(printf 'N\\344')=ä" "$@" ${words}`,
          "sh",
          ...command,
        ],
        { encoding: "latin1" },
      );
    expect(shell(`lua ${script()} --cgroup "/$(printf 'M\\374')"`)).toMatchObject({
      stderr: "",
      stdout: "/M\xfcv\xfc\xc3\xa4v\xfcnil",
    });
    const measured = shell(`measure "${scratch.path}/$(printf 'M\\374')"`);
    expect(JSON.parse(Buffer.from(measured.stdout, "latin1").toString()).snapshot.path).toBe(
      "/M\xfc",
    );
    expect(shell(`measure "$(printf 'M\\375')"`).status).toBe(66);
    // Where text is required, other bytes are refused.
    expect(shell(`lua "$(printf 'x\\374.lua')" --cgroup a/job`)).toMatchObject({
      status: 64,
      stderr: expect.stringContaining("this argument has to be UTF-8"),
    });
  });

  it("lua prints errors with their traceback", () => {
    writeFileSync(script(), "function cgroup_released(c)\n  error('boom')\nend");
    const { status, stderr } = run("lua", script(), "--cgroup", "a/job");
    expect(status).toBe(65);
    expect(stderr).toContain("script.lua:2: boom\nstack traceback:");
  });

  it.each([
    [["measure", "/nonexistent"], 66, "there is no cgroup /nonexistent below"],
    [["measure", "../.."], 66, "is not below"],
    [["lua", "x.lua"], 64, "give either --cgroup or --recorded"],
    [
      ["lua", "x.lua", "--cgroup", "system.slice/none.service"],
      66,
      "there is no cgroup system.slice/none.service below",
    ],
    [["lua", "x.lua", "--recorded", "/nonexistent"], 66, "cannot read /nonexistent: ENOENT"],
    [["lua", "x.lua", "--recorded", "/etc"], 65, "cannot read /etc: it is not a regular file"],
    [["lua", "x.lua", "--recorded", "/etc/passwd"], 65, "/etc/passwd: Unexpected token"],
    [["lua", "/nonexistent.lua", "--cgroup", "a/job"], 65, "cannot open /nonexistent.lua"],
    [["lua", "/etc", "--cgroup", "a/job"], 65, "cannot read /etc: Is a directory"],
    [["--listen", "/nonexistent/x", "--control", ""], 73, "cannot listen on /nonexistent/x: "],
    [["check", "surplus"], 64, 'Try "cm4all-spawn check --help".'],
  ])("%j ends with status %d and without a stack trace", (args, status, text) => {
    const result = run(...args);
    expect(result.stderr).toContain(text);
    expect(result.stderr).not.toContain("    at ");
    expect(result.status).toBe(status);
  });
});
