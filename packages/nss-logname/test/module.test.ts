/** Tests the module itself: its ELF file, its entry points, and its answers through glibc. */
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { missing } from "@cm4all/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { explainEnvironment } from "../src/environment.ts";
import { builtModule, compile, dist, output } from "./build.ts";

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "nss-module-"));
});
afterAll(() => {
  rmSync(directory, { recursive: true });
});

describe.skipIf(missing("gcc"))("libnss_cm4all_logname.so.2", () => {
  it("exports the entry points and nothing else", () => {
    const symbols = output("nm", ["-D", "--defined-only", "--format=just-symbols", builtModule]);
    expect(symbols.trim().split("\n").sort()).toEqual([
      "_nss_cm4all_logname_endpwent",
      "_nss_cm4all_logname_getgrgid_r",
      "_nss_cm4all_logname_getpwent_r",
      "_nss_cm4all_logname_getpwnam_r",
      "_nss_cm4all_logname_getpwuid_r",
      "_nss_cm4all_logname_setpwent",
    ]);
  });

  it("needs nothing but libc, and no symbol that an old libc lacks", () => {
    const dynamic = output("readelf", ["--dynamic", "--wide", builtModule]);
    const needed = [...dynamic.matchAll(/\(NEEDED\).*\[(.*)\]/g)].map(([, name]) => name);
    expect(needed).toEqual(["libc.so.6"]);
    expect(dynamic).toMatch(/\(SONAME\).*\[libnss_cm4all_logname\.so\.2\]/);
    // An image may have an older glibc than the machine on which the module was built.
    const versions = output("nm", ["-D", builtModule]).matchAll(/@GLIBC_2\.(\d+)/g);
    for (const [, minor] of versions) expect(Number(minor)).toBeLessThanOrEqual(17);
  });

  it("is bound when it is loaded, and has read-only relocations and no executable stack", () => {
    expect(output("readelf", ["--dynamic", builtModule])).toMatch(/BIND_NOW/);
    const segments = output("readelf", ["--segments", "--wide", builtModule]);
    expect(segments).toMatch(/GNU_RELRO/);
    expect(segments).toMatch(/GNU_STACK .* RW /);
  });
});

const checked = /^[1-9]\d{3,} checks\n$/;

describe.skipIf(missing("gcc"))("the entry points", () => {
  it("work with every buffer and environment, under AddressSanitizer and UBSan", () => {
    const program = join(directory, "entries-sanitized");
    const sanitizers = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"];
    compile(program, ["entries_test.c", "nss_logname.c"], ...sanitizers);
    expect(output(program, [])).toMatch(checked);
  });

  it("work in several threads at the same time, under ThreadSanitizer", () => {
    const program = join(directory, "threads-sanitized");
    compile(program, ["threads_test.c", "nss_logname.c"], "-fsanitize=thread", "-pthread");
    // GCC 12's ThreadSanitizer does not support the address space layout of newer kernels.
    expect(output("setarch", ["--addr-no-randomize", program])).toMatch(checked);
  });

  describe.skipIf(missing("valgrind"))("under valgrind", () => {
    const valgrind = ["--quiet", "--error-exitcode=9", "--leak-check=full"];

    it.each(["entries_test.c", "threads_test.c"])("pass %s", (source) => {
      const program = join(directory, `${source}-plain`);
      compile(program, [source, "nss_logname.c"], "-pthread");
      expect(output("valgrind", [...valgrind, program])).toMatch(checked);
    });
  });
});

/** User names, some of which are valid. */
const names = [
  ...["alice", "a", "A-b_c.d", "7zip", "host$", ".a", "x".repeat(32), "x".repeat(33)],
  ...["", "-a", "a$b", "$", "..", ".", "123", "12$", "a b", "a:b", "a\n", "\ta", "é", "a/b"],
  ...["user@example.com", "a+b", "x".repeat(255), "#a", "\x01", ":", "\n"],
];

/** Returns the answer that glibc gets from the module alone. */
function getent(env: Record<string, string>, ...args: string[]): string | undefined {
  const { stdout, stderr, status } = spawnSync("getent", ["-s", "cm4all_logname", ...args], {
    encoding: "utf8",
    env: { PATH: process.env["PATH"] ?? "", LD_LIBRARY_PATH: dist, ...env },
  });
  expect(stderr).toBe("");
  return status === 0 ? stdout : undefined;
}

describe.skipIf(missing("gcc"))("glibc", () => {
  const uid = String(process.geteuid?.());
  const gid = String(process.getegid?.());
  const alice = { LOGNAME: "alice", HOME: "/home/alice", SHELL: "/bin/zsh" };
  const entry = `alice:x:${uid}:${gid}:alice:/home/alice:/bin/zsh\n`;

  it("finds the user by uid, by name and in the list", () => {
    expect(getent(alice, "passwd", uid)).toBe(entry);
    expect(getent(alice, "passwd", "alice")).toBe(entry);
    expect(getent(alice, "passwd")).toBe(entry);
  });

  it("finds the group by gid only", () => {
    expect(getent(alice, "group", gid)).toBe(`alice:x:${gid}:\n`);
    expect(getent(alice, "group", "alice")).toBeUndefined();
    expect(getent(alice, "group")).toBe("");
    expect(getent(alice, "initgroups", "alice")?.trim()).toBe("alice");
  });

  it("finds nobody else", () => {
    for (const key of [String(Number(uid) + 1), "bob", "root"])
      expect(getent(alice, "passwd", key)).toBeUndefined();
    expect(getent(alice, "group", String(Number(gid) + 1))).toBeUndefined();
    expect(getent(alice, "shadow", "alice")).toBeUndefined();
  });

  it("tries again with a larger buffer as often as necessary", () => {
    const home = `/${"h".repeat(20_000)}`;
    expect(getent({ ...alice, HOME: home }, "passwd", uid)).toContain(`:${home}:`);
  });

  const homes = ["/", "/home/é", "", "home", "~", "/a:b", "/a\n", "/\x7f", " /"];

  it.each([
    {},
    { LOGNAME: "alice" },
    { HOME: "/" },
    ...names.map((LOGNAME) => ({ LOGNAME, HOME: "/" })),
    ...homes.map((HOME) => ({ LOGNAME: "alice", HOME })),
  ] as Record<string, string>[])("gets what explainEnvironment predicts for %j", (env) => {
    const found = getent(env, "passwd", uid);
    if (explainEnvironment(env) !== undefined) expect(found).toBeUndefined();
    // Names that begin with + or - mean something else in a file, so getent prints no ids for them.
    const ids = /^[-+]/.test(env["LOGNAME"] ?? "") ? ":" : `${uid}:${gid}`;
    if (explainEnvironment(env) === undefined)
      expect(found).toBe(`${env["LOGNAME"]}:x:${ids}:${env["LOGNAME"]}:${env["HOME"]}:/bin/sh\n`);
  });
});

describe.skipIf(missing("root", "gcc"))("an entry", () => {
  // The test skips names that glibc's service `files` does not take as plain names.
  it("is the same if glibc reads it from a passwd file", () => {
    const etc = join(directory, "etc");
    mkdirSync(etc);
    const passwd = join(etc, "passwd");
    for (const LOGNAME of names) {
      const env = { LOGNAME, HOME: "home dir", SHELL: "" };
      const found = getent(env, "passwd", "0");
      const isOfFiles = /^[-+#\s]/.test(LOGNAME);
      if (found === undefined || isOfFiles) continue;
      writeFileSync(passwd, found);
      const script = `mount --bind '${passwd}' /etc/passwd && exec getent -s files passwd 0`;
      const inFile = spawnSync("unshare", ["--mount", "sh", "-c", script], { encoding: "utf8" });
      expect(inFile.stdout, LOGNAME).toBe(found);
    }
  });

  it("is not found by name if the name is a number", () => {
    const file = join(directory, "owned");
    writeFileSync(file, "");
    const env = { LOGNAME: "54321", HOME: "/" };
    expect(getent(env, "passwd", "0")).toMatch(/^54321:x:0:0:/);
    const nsswitch = join(directory, "nsswitch.conf");
    writeFileSync(nsswitch, "passwd: files cm4all_logname\ngroup: files cm4all_logname\n");
    const script = `mount --bind '${nsswitch}' /etc/nsswitch.conf && chown 54321 '${file}' && chown alice '${file}'`;
    const chown = (LOGNAME: string) =>
      spawnSync("unshare", ["--mount", "sh", "-c", script], {
        encoding: "utf8",
        env: { ...process.env, ...env, LOGNAME, LD_LIBRARY_PATH: dist },
      });
    expect(chown("54321").stderr).toMatch(/invalid user: .alice/);
    expect(statSync(file).uid).toBe(54321);
    expect(chown("alice").stderr).toBe("");
    expect(statSync(file).uid).toBe(0);
  });
});
