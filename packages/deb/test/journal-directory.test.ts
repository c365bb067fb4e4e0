/** Tests how the journal's directory is made, and that it survives a removal but not a purge. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DiskDirectory, Journal, RecordState } from "@cm4all/journal";
import { missing } from "@cm4all/testing";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { root } from "./built.ts";

let system: string;
let directory: string;

beforeEach(() => {
  system = mkdtempSync(join(tmpdir(), "journal-directory-"));
  directory = join(system, "var/lib/cm4all-spawn");
});
afterEach(() => rmSync(system, { recursive: true }));

/** Runs the package's postrm script as dpkg does for a system in another root directory. */
function postrm(...args: string[]) {
  const script = join(root, "debian/cm4all-spawn.postrm");
  const env = { PATH: process.env["PATH"], LC_ALL: "C", DPKG_ROOT: system };
  const { status, stdout, stderr } = spawnSync("sh", [script, ...args], { encoding: "utf8", env });
  return { status, stdout, stderr };
}

async function writeRecords(...paths: readonly string[]): Promise<void> {
  mkdirSync(directory, { recursive: true });
  const journal = await Journal.open(new DiskDirectory(directory));
  for (const path of paths) {
    const snapshot = { path, id: path, report: 1, measuredMs: 0 };
    const number = await journal.append(Buffer.from(JSON.stringify({ snapshot, xattrs: [] })));
    await journal.mark(number, RecordState.PARKED, '"snapshot":');
  }
  await journal.close();
}

describe("the postrm script", () => {
  it.each(["remove", "upgrade", "abort-install"])(
    "leaves the journal alone on %s",
    async (action) => {
      await writeRecords("/a");
      expect(postrm(action)).toEqual({ status: 0, stdout: "", stderr: "" });
      expect(existsSync(directory)).toBe(true);
    },
  );

  it("deletes the journal on a purge, and says how many records it had at most", async () => {
    await writeRecords("/a", '/"snapshot":{', "/b\n");
    expect(postrm("purge")).toEqual({
      status: 0,
      stdout: "",
      stderr: expect.stringMatching(
        /^Removing \S+\/var\/lib\/cm4all-spawn \(\S+\): up to 3 records of cgroups that wait to be accounted\n$/,
      ),
    });
    expect(existsSync(directory)).toBe(false);
  });

  it("prints nothing if no records wait, or if there is no journal", async () => {
    await writeRecords();
    for (let i = 0; i < 2; i++)
      expect(postrm("purge")).toEqual({ status: 0, stdout: "", stderr: "" });
    expect(existsSync(directory)).toBe(false);
  });
});

it.skipIf(missing("root", "systemd") !== undefined)(
  "tmpfiles.d makes the journal's directory, accessible only to root",
  () => {
    mkdirSync(system, { recursive: true });
    const file = join(root, "debian/cm4all-spawn.tmpfiles");
    const args = [`--root=${system}`, "--create", file];
    const { stderr, error } = spawnSync("systemd-tmpfiles", args, { encoding: "utf8" });
    if (error !== undefined) throw error;
    expect(stderr).toBe("");
    expect(statSync(directory)).toMatchObject({ uid: 0, gid: 0, mode: 0o40700 });
  },
);

it("the service may write into the journal's directory, and starts even if that is missing", () => {
  const unit = readFileSync(join(root, "systemd/cm4all-spawn.service"), "utf8");
  expect(unit).toMatch(/^ReadWritePaths=-\/var\/lib\/cm4all-spawn$/m);
  // With StateDirectory=, the service would not start if the directory could not be created.
  expect(unit).not.toMatch(/^StateDirectory=/m);
});
