/** Tests how the package's maintainer scripts, which do not use Node, change nsswitch.conf. */
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { missing } from "@cm4all/testing";
import { readCorpus } from "@cm4all/testing/fuzz";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { subject } from "../fuzz/nsswitch.ts";
import { addService, removeService } from "../src/edit.ts";
import { NsswitchError } from "../src/nsswitch.ts";

const SCRIPT = join(import.meta.dirname, "../debian/nsswitch");

let directory: string;
let file: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "maintainer-script-"));
  file = join(directory, "nsswitch.conf");
});
afterEach(() => rmSync(directory, { recursive: true }));

function edit(command: string, environment = {}): string {
  const { status, stdout, stderr } = spawnSync("perl", [SCRIPT, command, file], {
    encoding: "utf8",
    env: { ...process.env, LC_ALL: "C", ...environment },
    timeout: 30_000,
  });
  expect([status, stdout]).toEqual([0, ""]);
  expect(stderr.split("\n").length).toBeLessThanOrEqual(2);
  return stderr;
}

/** Returns the text after an edit by cm4all-logname, or the old text if the edit is refused. */
function ours(text: string, change: (text: string) => string): string {
  try {
    return change(text);
  } catch (error) {
    if (error instanceof NsswitchError) return text;
    throw error;
  }
}

const TEXTS = [
  "",
  "passwd: files\n",
  "passwd:files\ngroup:files",
  "passwd:\tfiles systemd\ngroup:\tfiles [SUCCESS=merge] systemd\nhosts: files dns\n",
  "passwd: files cm4all_logname sss\ngroup: cm4all_logname files\n",
  "passwd: cm4all_logname[NOTFOUND=return]files\ngroup: a\n",
  "passwd: files # comment\ngroup: files\r\n",
  "passwd: files # comment\r\ngroup: files # \r\r\n",
  "passwd: files [NOTFOUND=return] sss\ngroup: files\n",
  "passwd: files [SUCCESS=continue] sss\ngroup: files\n",
  "passwd: files [!SUCCESS=return]\ngroup: files\n",
  "passwd: files [ !success = continue ] x\ngroup: files\n",
  "passwd: files [UNKNOWN=return]\n",
  "passwd: files [NOTFOUND=return\n",
  "passwd: a\npasswd: b\n",
  "passwd files\n",
  "passwd: files # [x]\n",
  "passwd: a:b\n",
  "garbage in here\n",
  "# a comment\n\nhosts: files\n",
  "\u00e9 x: y\npasswd: f\u00a0g\n",
  "passwd: files\0\n",
];

describe("the program of the maintainer scripts", () => {
  it("makes the same changes as cm4all-logname", () => {
    const texts = [...TEXTS, ...readCorpus(subject).map((bytes) => bytes.toString("latin1"))];
    for (const text of texts)
      for (const [command, change] of [
        ["add", addService],
        ["remove", removeService],
      ] as const) {
        writeFileSync(file, text, "latin1");
        const said = edit(command);
        const wanted = ours(text, change);
        expect([text, readFileSync(file, "latin1")]).toEqual([text, wanted]);
        if (said !== "") expect(wanted).toBe(text);
        expect(readdirSync(directory)).toEqual(["nsswitch.conf"]);
      }
  });

  it("keeps the mode, the owner and a symbolic link", () => {
    writeFileSync(join(directory, "target"), "passwd: files\ngroup: files\n");
    chmodSync(join(directory, "target"), 0o640);
    symlinkSync("target", file);
    expect(edit("add")).toBe("");
    expect(lstatSync(file).isSymbolicLink()).toBe(true);
    expect(readFileSync(file, "utf8")).toContain("passwd: files cm4all_logname\n");
    expect(statSync(file).mode & 0o777).toBe(0o640);
    // In the tree of another system, a link may lead out of the tree.
    expect(edit("remove", { DPKG_ROOT: directory })).toContain("it is a symbolic link");
    expect(readFileSync(file, "utf8")).toContain("cm4all_logname");
  });

  it("reports in one line why it leaves the file as it is, and does not fail", () => {
    expect(edit("add")).toContain("there is no such file");
    mkdirSync(file);
    expect(edit("add")).toContain("it is not a regular file");
    rmSync(file, { recursive: true });
    expect(spawnSync("mkfifo", [file]).status).toBe(0);
    expect(edit("add")).toContain("it is not a regular file");
    rmSync(file);
    writeFileSync(file, "");
    truncateSync(file, 1024 ** 3);
    expect(edit("add")).toContain("it has more than 1048576 bytes");
    writeFileSync(file, "passwd: files [NOTFOUND=return] sss\n");
    expect(edit("add")).toBe(
      `libnss-cm4all-logname: ${file}: in line 1, "files" ends the search on NOTFOUND; it is left as it is. To add the service by hand, put "cm4all_logname" at the end of its passwd and group lines.\n`,
    );
  });

  it("does not hang on hostile text", () => {
    for (const text of [
      `passwd: files${" ".repeat(400_000)}!\n`,
      `${" ".repeat(400_000)}!\n`,
      `passwd: files [NOTFOUND=return${" ".repeat(400_000)}!]\n`,
      `x${" ".repeat(400_000)}x\n`,
    ]) {
      writeFileSync(file, text);
      edit("add");
    }
  });

  it("removes what a killed run has left, but not what another run may need", () => {
    const temporary = (digits: string) => join(directory, `.nsswitch.conf.${digits}.new`);
    const [old, young] = [temporary("0123456789ab"), temporary("ba9876543210")];
    const other = temporary("0123456789");
    const hourAgo = Date.now() / 1000 - 3600;
    for (const path of [old, young, other]) writeFileSync(path, "");
    for (const path of [old, other]) utimesSync(path, hourAgo, hourAgo);
    writeFileSync(file, "passwd: files\ngroup: files\n");
    expect(edit("add")).toBe("");
    expect([old, young, other].map((path) => existsSync(path))).toEqual([false, true, true]);
  });

  it.skipIf(missing("strace") !== undefined).each(["fchown", "fchmod", "fsync", "/^rename"])(
    "keeps the file as it is and leaves no other file behind if %s fails",
    (call) => {
      writeFileSync(file, "passwd: files\ngroup: files\n");
      const options = ["-o", "/dev/null", "-e", `trace=${call}`, "-e", `inject=${call}:error=EIO`];
      const { status, stderr } = spawnSync("strace", [...options, "perl", SCRIPT, "add", file], {
        encoding: "utf8",
        env: { ...process.env, LC_ALL: "C" },
      });
      expect([status, stderr]).toEqual([0, expect.stringContaining("Input/output error; it is")]);
      expect(readFileSync(file, "utf8")).toBe("passwd: files\ngroup: files\n");
      expect(readdirSync(directory)).toEqual(["nsswitch.conf"]);
    },
  );

  it.skipIf(missing("root") !== undefined)("leaves a file that is a mount point as it is", () => {
    writeFileSync(file, "passwd: files\ngroup: files\n");
    const { stdout, stderr } = spawnSync(
      "unshare",
      ["-m", "sh", "-c", 'mount --bind "$1" "$1" && perl "$0" add "$1"; echo $?', SCRIPT, file],
      { encoding: "utf8" },
    );
    expect([stdout, stderr]).toEqual(["0\n", expect.stringContaining("it is a mount point")]);
    expect(readdirSync(directory)).toEqual(["nsswitch.conf"]);
  });
});
