/** Tests cm4all-logname on images, with regard to their symbolic links and C libraries. */
import { spawnSync } from "node:child_process";
import {
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { copyBundle } from "@cm4all/testing";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { builtCommand, builtModule, moduleName } from "./build.ts";
import { debian, get, installed, libc, onTree, prepareTrees, put, root } from "./trees.ts";

prepareTrees();

/** An ELF header for aarch64, which is enough for code that reads only the architecture. */
const aarch64 = Buffer.alloc(64);
aarch64.write("\x7fELF\x02\x01\x01", "latin1");
aarch64.writeUInt16LE(183, 18);

describe("links in the image", () => {
  let outside: string;
  beforeEach(() => {
    outside = realpathSync(mkdtempSync(join(tmpdir(), "nss-outside-")));
    writeFileSync(join(outside, "nsswitch.conf"), debian);
  });
  afterEach(() => {
    expect(readdirSync(outside)).toEqual(["nsswitch.conf"]);
    expect(readFileSync(join(outside, "nsswitch.conf"), "utf8")).toBe(debian);
    rmSync(outside, { recursive: true });
  });

  it("are followed inside, such as the absolute one that authselect makes", () => {
    put("etc/authselect/nsswitch.conf", debian);
    symlinkSync("/etc/authselect/nsswitch.conf", join(root, "etc/nsswitch.conf"));
    const { stdout } = onTree("install");
    expect(stdout).toContain(`${root}/etc/authselect/nsswitch.conf: `);
    expect(get("etc/authselect/nsswitch.conf")).toBe(installed);
    expect(readlinkSync(join(root, "etc/nsswitch.conf"))).toBe("/etc/authselect/nsswitch.conf");
  });

  it("to files outside lead nowhere", () => {
    mkdirSync(join(root, "etc"));
    symlinkSync(join(outside, "nsswitch.conf"), join(root, "etc/nsswitch.conf"));
    expect(onTree("install")).toMatchObject({ status: 66, stdout: "" });
    expect(onTree("status").status).toBe(66);
  });

  it("to directories outside lead nowhere, absolute or relative", () => {
    symlinkSync(outside, join(root, "etc"));
    expect(onTree("install")).toMatchObject({ status: 66, stdout: "" });
    rmSync(join(root, "etc"));
    symlinkSync(`${"../".repeat(20)}${outside}`, join(root, "etc"));
    expect(onTree("install")).toMatchObject({ status: 66, stdout: "" });
  });

  it("in place of the module's directory are followed; a link in place of the module, to a file outside, leads nowhere", () => {
    put("etc/nsswitch.conf", debian);
    put("usr/lib/libc.so.6", libc());
    symlinkSync("/usr/lib", join(root, "lib"));
    symlinkSync(join(outside, "nsswitch.conf"), join(root, `usr/lib/${moduleName}`));
    const { stderr, stdout } = onTree("install", "--module", builtModule);
    // The link leads to a place that does not exist inside.
    expect(stderr).toContain("ENOENT");
    expect(stdout).toBe("");
    rmSync(join(root, `usr/lib/${moduleName}`));
    expect(onTree("install", "--module", builtModule).status).toBe(0);
    expect(lstatSync(join(root, `usr/lib/${moduleName}`)).isFile()).toBe(true);
  });
});

describe("--copy-module", () => {
  beforeEach(() => {
    put("etc/nsswitch.conf", debian);
  });

  it.each([
    "lib/x86_64-linux-gnu",
    "usr/lib/x86_64-linux-gnu",
    "usr/lib/aarch64-linux-gnu",
    "usr/lib/arm-linux-gnueabihf",
    "usr/lib64",
    "usr/lib",
    "lib",
  ])("puts the module beside the C library in %s", (directory) => {
    put(`${directory}/libc.so.6`, libc());
    const { status, stdout } = onTree("install", "--module", builtModule);
    expect(stdout).toContain(`${root}/${directory}/${moduleName}: copied from ${builtModule}\n`);
    expect(status).toBe(0);
    expect(readFileSync(join(root, directory, moduleName))).toEqual(readFileSync(builtModule));
    expect(statSync(join(root, directory, moduleName)).mode & 0o7777).toBe(0o644);
    expect(onTree("install", "--module", builtModule).stdout).toContain("is the same already\n");
    expect(onTree("status").stdout).toContain(`  ${root}/${directory}/${moduleName} (`);
  });

  it("takes the module from the program's own directory", () => {
    put("usr/lib/libc.so.6", libc());
    using whole = copyBundle(builtCommand, [builtModule]);
    const args = [whole.program, "install", "--root", root, "--copy-module"];
    const { stdout } = spawnSync(process.execPath, args, { encoding: "utf8" });
    expect(stdout).toContain(`${moduleName}: copied from ${whole.directory}/${moduleName}\n`);
  });

  it("finds the C library behind a link, and in each directory only once", () => {
    put("usr/lib/x86_64-linux-gnu/libc-2.31.so", libc());
    symlinkSync("libc-2.31.so", join(root, "usr/lib/x86_64-linux-gnu/libc.so.6"));
    symlinkSync("usr/lib", join(root, "lib"));
    const { stdout } = onTree("install", "--module", builtModule);
    expect(stdout.trim().split("\n")).toEqual([
      `${root}/usr/lib/x86_64-linux-gnu/${moduleName}: copied from ${builtModule}`,
      `${root}/etc/nsswitch.conf: cm4all_logname is now last in passwd and group`,
    ]);
  });

  it("replaces another file of that name", () => {
    put("lib/libc.so.6", libc());
    put(`lib/${moduleName}`, "old");
    expect(onTree("install", "--module", builtModule).stdout).toContain("copied from");
    expect(readFileSync(join(root, `lib/${moduleName}`))).toEqual(readFileSync(builtModule));
  });

  it("reads no more of a library or a module of 5 GiB than it needs", () => {
    put("usr/lib/x86_64-linux-gnu/libc.so.6", libc());
    put("usr/lib/aarch64-linux-gnu/libc.so.6", aarch64);
    truncateSync(join(root, "usr/lib/aarch64-linux-gnu/libc.so.6"), 5 * 2 ** 30);
    const big = join(root, "module");
    put("module", "");
    truncateSync(big, 5 * 2 ** 30);
    const refused = onTree("install", "--module", big);
    expect(refused.status).toBe(65);
    expect(refused.stderr).toMatch(
      /^cm4all-logname: cannot read \S+module: it has more than \d+ bytes/,
    );
    const { status, stdout } = onTree("install", "--module", builtModule);
    expect(status).toBe(0);
    expect(stdout.match(/copied from/g)).toHaveLength(1);
  });

  it("copies the module beside each C library of the same architecture, and leaves the others without one", () => {
    put("usr/lib/x86_64-linux-gnu/libc.so.6", libc());
    put("usr/lib/aarch64-linux-gnu/libc.so.6", aarch64);
    const { status, stdout } = onTree("install", "--module", builtModule);
    expect(status).toBe(0);
    expect(stdout.match(/copied from/g)).toHaveLength(1);
    const report = onTree("status");
    expect(report.status).toBe(0);
    expect(report.stdout).toMatch(
      / missing for the C library in \S+\/aarch64-linux-gnu \(aarch64, /,
    );
  });

  it.each([
    ["an image of another architecture", aarch64, builtModule, 69, /needs a \S+ for "aarch64, /],
    ["an image without glibc", undefined, builtModule, 66, /no libc\.so\.6 of glibc/],
    [
      "a libc that is not an ELF file",
      Buffer.from("#!"),
      builtModule,
      66,
      /no libc\.so\.6 of glibc/,
    ],
    ["a module that is not an ELF file", libc, import.meta.filename, 65, /it is not an ELF file/],
    ["a module that is not there", libc, "/nonexistent", 66, /cannot read \/nonexistent: ENOENT/],
  ])("refuses %s, and changes nothing", (_, libc, module, expected, message) => {
    if (libc !== undefined) put("usr/lib/libc.so.6", typeof libc === "function" ? libc() : libc);
    const { status, stdout, stderr } = onTree("install", "--module", module);
    expect(stderr).toMatch(message);
    expect({ status, stdout }).toEqual({ status: expected, stdout: "" });
    expect(get("etc/nsswitch.conf")).toBe(debian);
  });
});

describe("status of an image", () => {
  it("exits with 0 when module and configuration are in place, and with 69 otherwise", () => {
    put("etc/nsswitch.conf", debian);
    put("usr/lib64/libc.so.6", libc());
    const before = onTree("status");
    expect(before.stdout).toContain(`missing for the C library in ${root}/usr/lib64 (`);
    expect(before.stdout).toContain(`${root}/etc/nsswitch.conf: passwd: cm4all_logname is missing`);
    expect(before.status).toBe(69);
    onTree("install", "--module", builtModule);
    const after = onTree("status");
    expect(after.status).toBe(0);
    expect(after.stdout).toBe(
      "Module:\n" +
        `  ${root}/usr/lib64/${moduleName} (${/\((.*)\)/.exec(before.stdout)?.[1]})\n` +
        "Configuration:\n" +
        `  ${root}/etc/nsswitch.conf: passwd: cm4all_logname is last\n` +
        `  ${root}/etc/nsswitch.conf: group: cm4all_logname is last\n`,
    );
  });
});
