/** Tests cm4all-logname: its changes to nsswitch.conf, and its messages. */
import { spawnSync } from "node:child_process";
import { chmodSync, chownSync, mkdirSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { missing } from "@cm4all/testing";
import { describe, expect, it } from "vitest";
import { builtModule } from "./build.ts";
import {
  copy,
  debian,
  get,
  installed,
  libc,
  onTree,
  prepareTrees,
  put,
  root,
  run,
} from "./trees.ts";

prepareTrees();

describe("install and remove", () => {
  it("change the two lines, and nothing the second time", () => {
    put("etc/nsswitch.conf", debian);
    const first = onTree("install");
    expect(first).toMatchObject({ status: 0 });
    expect(first.stdout).toBe(
      `${root}/etc/nsswitch.conf: cm4all_logname is now last in passwd and group\n`,
    );
    expect(get("etc/nsswitch.conf")).toBe(installed);

    const inode = statSync(join(root, "etc/nsswitch.conf")).ino;
    const second = onTree("install");
    expect(second.stdout).toContain("cm4all_logname was already last in passwd and group\n");
    expect(statSync(join(root, "etc/nsswitch.conf")).ino).toBe(inode);

    expect(onTree("remove").stdout).toContain("cm4all_logname was removed from passwd and group\n");
    expect(get("etc/nsswitch.conf")).toBe(debian);
    expect(onTree("remove")).toMatchObject({ status: 0, stderr: "" });
    expect(onTree("remove").stdout).toContain("cm4all_logname is not there\n");
    expect(readdirSync(join(root, "etc"))).toEqual(["nsswitch.conf"]);
  });

  it("warn that there is no module yet", () => {
    put("etc/nsswitch.conf", debian);
    expect(onTree("install").stderr).toMatch(/^Note: nothing answers yet .*no libc\.so\.6/);
  });

  it("create a missing file, but not a missing directory", () => {
    const failed = onTree("install");
    expect(failed).toMatchObject({ status: 66, stdout: "" });
    expect(failed.stderr).toContain(`cannot read ${root}/etc/nsswitch.conf: ENOENT`);
    mkdirSync(join(root, "etc"));
    expect(onTree("remove").stdout).toContain("is not there");
    expect(onTree("install").status).toBe(0);
    expect(get("etc/nsswitch.conf")).toBe(
      "passwd: files cm4all_logname\ngroup: files cm4all_logname\n",
    );
    expect(statSync(join(root, "etc/nsswitch.conf")).mode & 0o7777).toBe(0o644);
  });

  it("do not hide the file that openSUSE has elsewhere", () => {
    put("usr/etc/nsswitch.conf", debian);
    mkdirSync(join(root, "etc"));
    for (const command of ["install", "remove"]) {
      const { status, stderr } = onTree(command);
      expect(stderr).toContain("/usr/etc/nsswitch.conf does; copy it there first\n");
      expect(status).toBe(78);
    }
    expect(readdirSync(join(root, "etc"))).toEqual([]);
  });

  it("keep every byte, the mode and the owner", () => {
    const bytes = Buffer.concat([
      Buffer.from("# \xff\xfe\x80 \u00e9\r\n", "latin1"),
      Buffer.from(debian),
    ]);
    put("etc/nsswitch.conf", bytes);
    chmodSync(join(root, "etc/nsswitch.conf"), 0o640);
    if (process.getuid?.() === 0) chownSync(join(root, "etc/nsswitch.conf"), 1234, 5678);
    const before = statSync(join(root, "etc/nsswitch.conf"));
    expect(onTree("install").status).toBe(0);
    const after = statSync(join(root, "etc/nsswitch.conf"));
    expect([after.mode, after.uid, after.gid]).toEqual([before.mode, before.uid, before.gid]);
    expect(onTree("remove").status).toBe(0);
    expect(readFileSync(join(root, "etc/nsswitch.conf"))).toEqual(bytes);
  });

  it.each([
    [
      "passwd: files sss [NOTFOUND=return] ldap\ngroup: files\n",
      /nsswitch\.conf:1: passwd: .*would be hidden/,
    ],
    [
      "passwd: files\ngroup: files [!SUCCESS=return]\n",
      /nsswitch\.conf:2: group: .*would be hidden/,
    ],
    ["passwd: files\npasswd: sss\n", /nsswitch\.conf:2: a second passwd line/],
    ["passwd: files [oops] sss\n", /nsswitch\.conf:1: not understood: "\[oops\]"/],
    ["\x7fELF\0\0", /nsswitch\.conf: not a text file/],
    ["#!/bin/sh\nexit 0\n", /nsswitch\.conf:2: this does not look like/],
  ])("leave %j alone", (text, message) => {
    put("etc/nsswitch.conf", text);
    put("lib/libc.so.6", libc());
    const before = statSync(join(root, "etc/nsswitch.conf"));
    const { status, stdout, stderr } = onTree("install", "--module", builtModule);
    expect(stderr).toMatch(message);
    expect(stderr.trim().split("\n")).toHaveLength(1);
    expect({ status, stdout }).toEqual({ status: 78, stdout: "" });
    const { ino, ctimeMs } = statSync(join(root, "etc/nsswitch.conf"));
    expect({ ino, ctimeMs }).toEqual({ ino: before.ino, ctimeMs: before.ctimeMs });
    // Nothing else was done either.
    expect(readdirSync(join(root, "lib"))).toEqual(["libc.so.6"]);
    expect(readdirSync(join(root, "etc"))).toEqual(["nsswitch.conf"]);
  });

  it("leave alone anything that is not a regular file", () => {
    mkdirSync(join(root, "etc"));
    spawnSync("mkfifo", [join(root, "etc/nsswitch.conf")]);
    expect(onTree("install")).toMatchObject({ status: 65, stdout: "" });
    expect(onTree("install").stderr).toContain("it is not a regular file");
  });
});

describe("the command line", () => {
  it.each([
    [[]],
    [["bogus"]],
    [["install", "--bogus"]],
    [["install", "/"]],
    [["status", "--root"]],
  ])("%j is a mistake", (args) => {
    const { status, stdout, stderr } = run(...args);
    expect({ status, stdout }).toEqual({ status: 64, stdout: "" });
    expect(stderr).not.toBe("");
  });

  it("an empty --root is a mistake, too: it would mean the current directory", () => {
    expect(run("install", "--root", "")).toMatchObject({ status: 64, stdout: "" });
  });

  it.each([
    ["/nonexistent", 66],
    ["/etc/passwd", 66],
  ])("--root %s has to be a directory", (path, expected) => {
    const { status, stderr } = run("install", "--root", path);
    expect(status).toBe(expected);
    expect(stderr).toMatch(/^cm4all-logname: .*\n$/);
  });

  it("prints help, and the version", () => {
    const { status, stdout } = run("--help");
    expect(status).toBe(0);
    for (const word of ["install", "remove", "status", "Examples:"]) expect(stdout).toContain(word);
    expect(run("--version").stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  });
});

describe.skipIf(missing("root"))("the command in a restricted environment", () => {
  const inNamespace = (setUp: string, ...args: string[]) =>
    spawnSync(
      "unshare",
      [
        "--mount",
        "sh",
        "-c",
        `${setUp} && exec "$@"`,
        "sh",
        process.execPath,
        copy.program,
        ...args,
      ],
      { encoding: "utf8" },
    );

  it("reports that a mounted nsswitch.conf cannot be replaced", () => {
    put("etc/nsswitch.conf", debian);
    const file = `${root}/etc/nsswitch.conf`;
    const { status, stderr } = inNamespace(
      `mount --bind ${file} ${file}`,
      "install",
      "--root",
      root,
    );
    expect(stderr).toContain(`cannot write ${file}: it is a mount point`);
    expect(status).toBe(65);
    expect(readdirSync(join(root, "etc"))).toEqual(["nsswitch.conf"]);
  });

  it("reports that a file system is read-only", () => {
    put("etc/nsswitch.conf", debian);
    const mount = `mount --bind ${root} ${root} && mount -o remount,bind,ro ${root}`;
    const { status, stderr } = inNamespace(mount, "install", "--root", root);
    expect(stderr).toContain(`cannot write ${root}/etc/nsswitch.conf: EROFS`);
    expect(status).toBe(74);
  });

  it("reports that it needs /proc", () => {
    const { status, stderr } = inNamespace("mount -t tmpfs none /proc", "status");
    expect(stderr).toBe("cm4all-logname: /proc is not mounted\n");
    expect(status).toBe(71);
  });

  it("reports that it needs root", () => {
    put("etc/nsswitch.conf", debian);
    for (const directory of [root, copy.directory]) chmodSync(directory, 0o755);
    const nobody = ["--reuid", "54321", "--regid", "54321", "--clear-groups"];
    const { status, stderr } = spawnSync(
      "setpriv",
      [...nobody, process.execPath, copy.program, "install", "--root", root],
      { encoding: "utf8" },
    );
    expect(stderr).toContain(`cannot write ${root}/etc/nsswitch.conf: EACCES`);
    expect(stderr).toContain("try it as root");
    expect(status).toBe(77);
    expect(get("etc/nsswitch.conf")).toBe(debian);
  });
});
